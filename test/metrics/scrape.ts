import type { Registry } from "prom-client";

/** What a scrape says: `name{label="value",…}` without the prefix `aibrix_`, labels as the registry writes them, to the value. */
export async function scrape(registry: Registry): Promise<ReadonlyMap<string, number>> {
  const text = await registry.metrics();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space).replace(/^aibrix_/, ""), Number(line.slice(space + 1))];
    }),
  );
}

/** Those that have the label `pod_key` with this value, or any. */
export async function podSeries(registry: Registry, podKey = ""): Promise<readonly string[]> {
  const wanted = podKey === "" ? 'pod_key="' : `pod_key="${podKey}"`;
  return [...(await scrape(registry)).keys()].filter((name) => name.includes(wanted));
}
