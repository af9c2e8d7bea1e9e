import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { Registry } from "prom-client";
import { parse, stringify } from "yaml";
import { createMetrics, type Metrics } from "../../src/metrics.ts";
import type { StreamId } from "../../src/sync/status.ts";
import { podInfo } from "../server/support.ts";
import { PROMTOOL, root, toolTest } from "../support/tools.ts";
import { withFile } from "./support/files.ts";
import { MADE, read } from "./support/monitoring.ts";
import { complaints, labelsByName, shownLabels, withoutVariables } from "./support/promql.ts";
import { allSeries, boundOf, type Series } from "./support/series.ts";

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string }[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: unknown }[] };
}

const RULES = "deploy/monitoring/rules.yaml";
const RULE_TESTS = "deploy/monitoring/rules.test.yaml";
const { groups } = parse(read(RULES)) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const recorded = Object.fromEntries(
  rules.flatMap(({ record, expr }) => (record === undefined ? [] : [[record, expr]])),
);
const dashboard = JSON.parse(read("deploy/monitoring/dashboard.json")) as Dashboard;
const targets = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map((target) => ({ title, ...target })));
const series = allSeries();
const known = labelsByName(series, recorded);

function promtool(program: string, args: readonly string[], input = ""): string {
  return execFileSync(program, args, { cwd: root, input, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });
}

for (const [path, make] of Object.entries(MADE)) {
  test(`monitoring: ${path} is what \`npm run build:monitoring\` makes`, () => {
    assert.equal(make(read(path)), read(path));
  });
}

test("monitoring: rules read series that exist, by labels that they have, and show labels that are left", () => {
  assert.ok(rules.length > 20);
  const wrong = rules.flatMap(({ expr, annotations = {} }) =>
    complaints(expr, Object.values(annotations).flatMap(shownLabels), known),
  );
  assert.deepEqual(wrong, []);
});

test("monitoring: panels and variables of the dashboard read series that exist, by labels that they have", () => {
  assert.ok(targets.length > 30);
  assert.deepEqual(
    targets.flatMap(({ expr, legendFormat }) => complaints(expr, shownLabels(legendFormat), known)),
    [],
  );
  for (const { name, query } of dashboard.templating.list) {
    if (name === "datasource") continue;
    const [, selector = "", label = ""] = /^label_values\((.*), ([a-z_]+)\)$/.exec((query as { query: string }).query)!;
    assert.deepEqual([complaints(selector, [label], known), label], [[], name]);
  }
});

test("monitoring: a series, a label, a grouping and a legend that do not exist are found", () => {
  const found = (expr: string, ...shown: string[]) => complaints(expr, shown, known).length;
  const status = "aibrix_kvcache_zmq_stream_status";
  assert.equal(found(`sum by (pod_key) (${status}{status="live"})`, "pod_key"), 0);
  assert.equal(found("aibrix_kvcache_zmq_made_up"), 1);
  assert.equal(found("aibrix_kvcache_zmq_lag_seconds"), 1, "a histogram is read by its parts");
  assert.equal(found("job:aibrix_made_up:sum"), 1);
  assert.equal(found(`${status}{state="live"}`), 1);
  assert.equal(found(`sum by (pod) (${status})`), 1);
  assert.equal(found(`sum by (pod_key) (${status})`, "rank"), 1);
  assert.equal(found("1 > 2"), 1);
});

test("monitoring: no label of ours is one that a scrape in a cluster adds, for it would be renamed", () => {
  const added = ["job", "instance", "namespace", "pod", "container", "endpoint", "service", "node", "prometheus"];
  assert.deepEqual(
    series.flatMap(({ labels }) => labels).filter((label) => added.includes(label)),
    [],
  );
});

test("monitoring: every rule is exercised by the rules' own tests", () => {
  const tests = read(RULE_TESTS);
  const names = rules.map(({ alert, record }) => alert ?? record!);
  // A recorded series that an alert reads is exercised by that alert's test.
  const alerted = new Set(
    rules.filter(({ alert }) => alert !== undefined && tests.includes(alert)).map(({ expr }) => expr),
  );
  const isTested = (name: string) => tests.includes(name) || [...alerted].some((expr) => expr.includes(name));
  assert.deepEqual(
    names.filter((name) => !isTested(name)),
    [],
  );
});

test("monitoring: every alert says how bad it is, of whom it speaks, and what to do", () => {
  for (const { alert, labels, annotations } of rules.filter((rule) => rule.alert !== undefined)) {
    assert.ok(["critical", "warning", "info"].includes(labels?.["severity"] ?? ""), alert);
    assert.ok((annotations?.["description"] ?? "").length > 40, alert);
    assert.ok(shownLabels(annotations?.["summary"] ?? "").length > 0, alert);
  }
});

test("monitoring: panels have a place of their own, and say what they show", () => {
  const places = new Set<string>();
  for (const { id, type, title, description, gridPos, targets = [] } of dashboard.panels) {
    assert.ok(gridPos.x + gridPos.w <= 24, title);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.ok(!places.has(`${x} ${y}`), `${title} lies on another panel`);
        places.add(`${x} ${y}`);
      }
    }
    if (type === "row") continue;
    assert.ok(description !== undefined && description !== "" && targets.length > 0, title);
    assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
    assert.equal(dashboard.panels.filter((other) => other.id === id).length, 1, title);
  }
});

toolTest([PROMTOOL], "monitoring: promtool accepts the rules", ([program]) => {
  promtool(program!, ["check", "rules", "--lint-fatal", RULES]);
});

toolTest([PROMTOOL], "monitoring: the rules' own tests pass", ([program]) => {
  promtool(program!, ["test", "rules", RULE_TESTS]);
});

toolTest([PROMTOOL], "monitoring: a rule that lost its threshold fails its tests", ([program]) => {
  const weak = read(RULES).replace("aibrix_kvcache_zmq_disconnections_total[15m]) > 5", "$&0");
  assert.notEqual(weak, read(RULES));
  withFile("rules.yaml", weak, (path) => {
    const tests = read(RULE_TESTS).replace("rules.yaml]", `${path}]`).replace("- rules.yaml", `- ${path}`);
    withFile("rules.test.yaml", tests, (testPath) => {
      assert.throws(() => promtool(program!, ["test", "rules", testPath]), /ns\/ill lost its connection/);
    });
  });
});

toolTest([PROMTOOL], "monitoring: every query of the dashboard is PromQL", ([program]) => {
  const asRules = targets.map(({ expr }, at) => ({ record: `panel:${at}`, expr: withoutVariables(expr, "5m") }));
  const text = stringify({ groups: [{ name: "dashboard", rules: asRules }] });
  withFile("dashboard.yaml", text, (path) => promtool(program!, ["check", "rules", path]));
  withFile("broken.yaml", text.replace("sum(", "sum(("), (path) => {
    assert.throws(() => promtool(program!, ["check", "rules", path]));
  });
});

const POD: StreamId = { pod: "ns/a", model: "m", rank: 0 };

/** Everything that can be counted happened, with many values that nobody knows. */
function withEverything(use: (text: Promise<string>) => Promise<void>): Promise<void> {
  const registry = new Registry();
  const source = { ...POD, blocks: 1, orphans: 1, bytes: 1 };
  const stats = { contexts: 1, blocks: 1, holders: 1, orphans: 1, sources: 1, evictedBlocks: 1 };
  const metrics = createMetrics(registry, {
    indexer: { stats: () => stats, sourceStats: () => [source], bytes: 1 },
    directory: { pods: () => [podInfo("ns/a")] },
  });
  metrics.start();
  for (let i = 0; i < 100; i++) happen(metrics, `made-up-${i}`);
  return use(registry.metrics()).finally(() => metrics[Symbol.dispose]());
}

function happen(metrics: Metrics, anything: string): void {
  const subject = { model: "m", usingKvSync: anything.endsWith("0") };
  metrics.onStreamOpened?.(POD);
  metrics.onStatus?.(POD, "live");
  for (const reason of ["gap", anything]) metrics.onPurge?.(POD, reason as "gap");
  metrics.onBatch?.(POD, 1, { BlockStored: 1, [anything]: 1 }, 0.1, 0.1);
  metrics.onError?.(POD, anything, new Error(anything));
  for (const kind of ["msgpack", "framing", "refused"]) metrics.onError?.(POD, kind, new Error(kind));
  metrics.onReplayEnded?.(POD, true, 0.1);
  metrics.routing.decided(subject, "prefix_match", 50, 0.1);
  metrics.routing.failed(subject, anything);
  metrics.routing.imbalanced(subject);
  metrics.routing.indexerStatus("m", anything, true);
  metrics.requests.answered(anything, "success", 0.1);
  metrics.watch.onTrouble?.("list", new Error("list"));
  metrics.reconciler.onDropped?.("ns/a", "sleeps");
  metrics.tokenizers.served("remote", 1);
  metrics.tokenizers.failed("remote", "timeout");
  metrics.tokenizers.healthChecked(true);
  metrics.tokenizers.compared("m", true);
  metrics.snapshots.onWriteFailed?.("path", new Error("full"));
}

toolTest([PROMTOOL], "monitoring: promtool accepts the names and types of every series", async ([program]) => {
  await withEverything(async (text) => {
    promtool(program!, ["check", "metrics"], await text);
    const wrong = (await text).replaceAll("aibrix_kvcache_zmq_connections_total", "aibrix_kvcache_zmq_connections");
    assert.throws(() => promtool(program!, ["check", "metrics"], wrong), /_total/);
  });
});

test("monitoring: no series has more lines than its bound, whatever it is told", async () => {
  await withEverything(async (text) => {
    const lines = (await text).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    for (const each of series) {
      const own = lines.filter((line) => isOf(line, each)).length;
      assert.ok(own <= boundOf(each).lines, `${each.name} has ${own} lines`);
      assert.ok(own > 0 || each.name.includes("snapshot_"), `${each.name} was not made to happen`);
    }
    assert.equal(
      series.reduce((sum, each) => sum + lines.filter((line) => isOf(line, each)).length, 0),
      lines.length,
    );
  });
});

function isOf(line: string, { name, type }: Series): boolean {
  const written = line.slice(0, line.search(/[ {]/));
  return type === "histogram"
    ? ["bucket", "sum", "count"].some((part) => written === `${name}_${part}`)
    : written === name;
}

test("monitoring: the README's files are there", () => {
  const names = [...read("deploy/monitoring/README.md").matchAll(/^\| `([a-z.]+)` \|/gm)].map(([, name]) => name!);
  assert.equal(names.length, 3);
  for (const name of names) assert.ok(read(join("deploy/monitoring", name)).length > 0);
});
