import type { Series } from "./series.ts";

/** A series that an expression reads, with the labels that it selects by. */
export interface Reference {
  readonly name: string;
  readonly labels: readonly string[];
}

/** What a scrape adds to every series. */
const SCRAPED = ["job", "instance"];

/** Series that an expression names: those of this package, and recorded ones, which have a colon. */
export function references(expr: string): readonly Reference[] {
  const selectors = expr.matchAll(/\b(aibrix_[a-z0-9_]+|[a-z_]+:[a-zA-Z0-9_:]+)(?:\{([^}]*)\})?/g);
  return [...selectors].map(([, name = "", matchers = ""]) => ({
    name,
    labels: [...matchers.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)/g)].map(([, label = ""]) => label),
  }));
}

/** Labels that an expression groups by. */
export function groupings(expr: string): readonly string[] {
  const lists = expr.matchAll(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g);
  return [...lists].flatMap(([, list = ""]) => list.split(",").map((label) => label.trim())).filter(Boolean);
}

/** Labels that a template, an alert's or a legend's, shows. */
export function shownLabels(template: string): readonly string[] {
  return [...template.matchAll(/\$labels\.([a-z_]+)|\{\{([a-z_]+)\}\}/g)].map(([, one, other]) => one ?? other ?? "");
}

/** By the name of each series, as it is read, to its labels. Of a histogram the parts; what was recorded by its grouping. */
export function labelsByName(
  series: readonly Series[],
  recorded: Readonly<Record<string, string>> = {},
): ReadonlyMap<string, readonly string[]> {
  const known = new Map<string, readonly string[]>();
  for (const { name, type, labels } of series) {
    const own = [...labels, ...SCRAPED];
    if (type !== "histogram") known.set(name, own);
    else {
      known.set(`${name}_bucket`, [...own, "le"]);
      for (const part of ["sum", "count"]) known.set(`${name}_${part}`, own);
    }
  }
  for (const [name, expr] of Object.entries(recorded)) {
    known.set(
      name,
      groupings(expr).filter((label) => label !== "le"),
    );
  }
  return known;
}

/** What is wrong with an expression, and with what is shown of its result: series and labels that do not exist. */
export function complaints(
  expr: string,
  shown: readonly string[],
  known: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  const found = references(expr);
  if (found.length === 0) return [`${expr} reads no series of this package`];
  const wrong = found.flatMap(({ name, labels }) => {
    const own = known.get(name);
    if (own === undefined) return [`there is no ${name}`];
    return labels.filter((label) => !own.includes(label)).map((label) => `${name} has no label ${label}`);
  });
  const all = new Set(found.flatMap(({ name }) => known.get(name) ?? []));
  const groups = groupings(expr);
  const kept = groups.length === 0 ? all : new Set(groups);
  return [
    ...wrong,
    ...groups.filter((label) => !all.has(label)).map((label) => `${expr} groups by ${label}, which is no label of it`),
    ...shown.filter((label) => !kept.has(label)).map((label) => `${expr} has no ${label} to show`),
  ];
}

/** An expression as it is once somebody has chosen everything, over windows of that length, such as `5m`. */
export function withoutVariables(expr: string, window: string): string {
  return expr.replaceAll("$__rate_interval", window).replaceAll(/\$[a-z_]+/g, ".*");
}
