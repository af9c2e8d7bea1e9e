/** Units as Grafana names them. */
type Unit = "short" | "s" | "bytes" | "percentunit" | "ops";

/** One line of a panel: PromQL, in which `$pod_key` and the like are variables of the dashboard, and its legend. */
type Query = readonly [expr: string, legend: string];

interface PanelSketch {
  readonly title: string;
  readonly description: string;
  readonly unit: Unit;
  readonly queries: readonly Query[];
  /** A number instead of lines over time. */
  readonly isStat?: true;
}

interface Row {
  readonly title: string;
  readonly panels: readonly PanelSketch[];
}

const POD = 'job=~"$job",pod_key=~"$pod_key"';
const JOB = 'job=~"$job"';
const MODEL = 'job=~"$job",model=~"$model"';

const perPod = (name: string): string =>
  `sum by (pod_key) (rate(aibrix_kvcache_zmq_${name}{${POD}}[$__rate_interval]))`;
const quantile = (share: number, name: string, labels: string, by = ""): string =>
  `histogram_quantile(${share}, sum by (${by}le) (rate(${name}_bucket{${labels}}[$__rate_interval])))`;

const STREAMS: Row = {
  title: "Engines and their streams",
  panels: [
    {
      title: "Ranks connected",
      description: "Pods all of whose ranks are connected, of those that are known.",
      unit: "short",
      isStat: true,
      queries: [
        [`sum(aibrix_kvcache_zmq_connection_status{${POD}})`, "connected"],
        [`count(aibrix_kvcache_zmq_connection_status{${POD}})`, "known"],
      ],
    },
    {
      title: "Streams by status",
      description: "live: exactly what the engine holds. partial: what came before the first event is missing.",
      unit: "short",
      queries: [[`sum by (status) (aibrix_kvcache_zmq_stream_status{${POD}})`, "{{status}}"]],
    },
    {
      title: "Events",
      description: "Passed to the index.",
      unit: "ops",
      queries: [
        [
          `sum by (event_type) (rate(aibrix_kvcache_zmq_events_processed_total{${POD}}[$__rate_interval]))`,
          "{{event_type}}",
        ],
      ],
    },
    {
      title: "Lag",
      description: "From publication, by the engine's clock, to the index, by ours. A wrong clock shows as lag.",
      unit: "s",
      queries: [
        [quantile(0.5, "aibrix_kvcache_zmq_lag_seconds", POD), "p50"],
        [quantile(0.99, "aibrix_kvcache_zmq_lag_seconds", POD), "p99"],
      ],
    },
    {
      title: "Batches that wait",
      description: "Received, and held back until those before them are there.",
      unit: "short",
      queries: [[`aibrix_kvcache_zmq_held_batches{${POD}}`, "{{pod_key}}"]],
    },
    {
      title: "Time to apply a batch",
      description: "From its decoding to the end of its passing to the index.",
      unit: "s",
      queries: [
        [quantile(0.5, "aibrix_kvcache_zmq_event_processing_duration_seconds", POD), "p50"],
        [quantile(0.99, "aibrix_kvcache_zmq_event_processing_duration_seconds", POD), "p99"],
      ],
    },
  ],
};

const TROUBLE: Row = {
  title: "What goes wrong",
  panels: [
    {
      title: "Lost connections",
      description: "By pod.",
      unit: "ops",
      queries: [[perPod("disconnections_total"), "{{pod_key}}"]],
    },
    {
      title: "Errors",
      description: "Of streams, and why connections are lost or not made.",
      unit: "ops",
      queries: [
        [`sum by (error_type) (rate(aibrix_kvcache_zmq_errors_total{${POD}}[$__rate_interval])) > 0`, "{{error_type}}"],
      ],
    },
    {
      title: "What cannot be read",
      description: "Payloads and events, by what is wrong with them.",
      unit: "ops",
      queries: [[`sum by (kind) (rate(aibrix_kvcache_zmq_decode_errors_total{${POD}}[$__rate_interval]))`, "{{kind}}"]],
    },
    {
      title: "Replays",
      description: "Asked for, and what became of them.",
      unit: "ops",
      queries: [
        [`sum(rate(aibrix_kvcache_zmq_replay_requests_total{${POD}}[$__rate_interval]))`, "requests"],
        [`sum(rate(aibrix_kvcache_zmq_replay_success_total{${POD}}[$__rate_interval]))`, "successes"],
        [`sum(rate(aibrix_kvcache_zmq_replay_failures_total{${POD}}[$__rate_interval]))`, "failures"],
      ],
    },
    {
      title: "Time of a replay",
      description: "From its request to its end.",
      unit: "s",
      queries: [
        [quantile(0.5, "aibrix_kvcache_zmq_replay_duration_seconds", POD), "p50"],
        [quantile(0.99, "aibrix_kvcache_zmq_replay_duration_seconds", POD), "p99"],
      ],
    },
    {
      title: "Missed and forgotten",
      description: "Batches that did not come live, and times that all blocks of a stream were forgotten.",
      unit: "ops",
      queries: [
        [`sum(rate(aibrix_kvcache_zmq_missed_events_total{${POD}}[$__rate_interval]))`, "batches missed"],
        [`sum by (reason) (rate(aibrix_kvcache_zmq_purges_total{${POD}}[$__rate_interval]))`, "forgotten: {{reason}}"],
      ],
    },
  ],
};

const INDEX: Row = {
  title: "Index",
  panels: [
    {
      title: "Blocks",
      description: "Distinct blocks, pairs of a block and a rank that holds it, and blocks that cannot be placed.",
      unit: "short",
      queries: [
        [`sum by (instance) (aibrix_kvcache_index_blocks{${JOB}})`, "blocks {{instance}}"],
        [`sum by (instance) (aibrix_kvcache_index_holders{${JOB}})`, "holders {{instance}}"],
        [`sum by (instance) (aibrix_kvcache_index_orphans{${JOB}})`, "orphans {{instance}}"],
      ],
    },
    {
      title: "Blocks by pod",
      description: "Each rank's counted.",
      unit: "short",
      queries: [[`aibrix_kvcache_index_pod_blocks{${MODEL},pod_key=~"$pod_key"}`, "{{pod_key}}"]],
    },
    {
      title: "Memory",
      description: "Estimated, in all and by model, without what pods share.",
      unit: "bytes",
      queries: [
        [`sum by (instance) (aibrix_kvcache_index_bytes{${JOB}})`, "all of {{instance}}"],
        [`sum by (model) (aibrix_kvcache_index_pod_bytes{${MODEL},pod_key=~"$pod_key"})`, "{{model}}"],
      ],
    },
    {
      title: "Dropped to stay within the bounds",
      description: "Blocks that engines hold and the index does not.",
      unit: "ops",
      queries: [
        [
          `sum by (instance) (rate(aibrix_kvcache_index_evicted_blocks_total{${JOB}}[$__rate_interval]))`,
          "{{instance}}",
        ],
      ],
    },
  ],
};

const ANSWERS: Row = {
  title: "Answers and routing",
  panels: [
    {
      title: "Queries",
      description: "By outcome.",
      unit: "ops",
      queries: [
        [
          `sum by (outcome) (rate(aibrix_kvcache_http_request_duration_seconds_count{${JOB},path="/query"}[$__rate_interval]))`,
          "{{outcome}}",
        ],
      ],
    },
    {
      title: "Time of a query",
      description: "To the head of the answer.",
      unit: "s",
      queries: [0.5, 0.99].map((share) => [
        quantile(share, "aibrix_kvcache_http_request_duration_seconds", `${JOB},path="/query"`),
        `p${share * 100}`,
      ]),
    },
    {
      title: "Share of the prompt that was there",
      description: "Requests routed, by how much of the prompt the chosen pod held.",
      unit: "ops",
      queries: [
        [
          `sum by (match_percent_bucket) (rate(aibrix_prefix_cache_routing_decisions_total{${MODEL}}[$__rate_interval]))`,
          "{{match_percent_bucket}} %",
        ],
      ],
    },
    {
      title: "How pods were chosen",
      description: "Requests routed, and those for which the load decided.",
      unit: "ops",
      queries: [
        [
          `sum by (selection) (rate(aibrix_prefix_cache_routing_selection_total{${MODEL}}[$__rate_interval]))`,
          "{{selection}}",
        ],
        [`sum(rate(aibrix_prefix_cache_load_imbalance_total{${MODEL}}[$__rate_interval]))`, "imbalance"],
      ],
    },
    {
      title: "Time to choose a pod",
      description: "By model.",
      unit: "s",
      queries: [[quantile(0.99, "aibrix_prefix_cache_routing_latency_seconds", MODEL, "model, "), "p99 {{model}}"]],
    },
    {
      title: "Requests that could not be routed by their prefix",
      description: "By reason.",
      unit: "ops",
      queries: [
        [`sum by (reason) (rate(aibrix_prefix_cache_routing_errors_total{${MODEL}}[$__rate_interval]))`, "{{reason}}"],
      ],
    },
  ],
};

const PROCESS: Row = {
  title: "Process",
  panels: [
    {
      title: "Event loop",
      description: "How late it ran its timers.",
      unit: "s",
      queries: [[`max by (instance, stat) (aibrix_kvcache_event_loop_delay_seconds{${JOB}})`, "{{stat}} {{instance}}"]],
    },
    {
      title: "Starts that failed",
      description: "Daemons that run without the events of their engines.",
      unit: "short",
      isStat: true,
      queries: [[`sum(aibrix_kvcache_sync_start_failures_total{${JOB}})`, "failed"]],
    },
    {
      title: "Cluster",
      description: "Pods of the last list, and what goes wrong with the watch.",
      unit: "short",
      queries: [
        [`max by (instance) (aibrix_kvcache_kubernetes_listed_pods{${JOB}})`, "pods {{instance}}"],
        [
          `sum by (error_type) (increase(aibrix_kvcache_kubernetes_errors_total{${JOB}}[$__rate_interval]))`,
          "{{error_type}}",
        ],
      ],
    },
    {
      title: "Snapshot",
      description: "Size of the last one.",
      unit: "bytes",
      queries: [[`max by (instance) (aibrix_kvcache_snapshot_bytes{${JOB}})`, "{{instance}}"]],
    },
  ],
};

const TOKENIZERS: Row = {
  title: "Tokenizers",
  panels: [
    {
      title: "Time to tokenize",
      description: "Of a tokenizer that served, by its kind.",
      unit: "s",
      queries: [
        [quantile(0.99, "aibrix_tokenizer_pool_request_duration_seconds", JOB, "tokenizer, "), "p99 {{tokenizer}}"],
      ],
    },
    {
      title: "Attempts that failed",
      description: "By tokenizer and reason; the next tokenizer may have served.",
      unit: "ops",
      queries: [
        [
          `sum by (tokenizer, reason) (rate(aibrix_tokenizer_pool_failures_total{${JOB}}[$__rate_interval]))`,
          "{{tokenizer}}: {{reason}}",
        ],
      ],
    },
    {
      title: "Prompts that were known",
      description: "Share of the prompts whose tokens were kept from an earlier request.",
      unit: "percentunit",
      queries: [
        [
          `sum(rate(aibrix_tokenizer_pool_cache_hits_total{${JOB}}[$__rate_interval])) / (sum(rate(aibrix_tokenizer_pool_cache_hits_total{${JOB}}[$__rate_interval])) + sum(rate(aibrix_tokenizer_pool_cache_misses_total{${JOB}}[$__rate_interval])))`,
          "known",
        ],
      ],
    },
  ],
};

const ROWS: readonly Row[] = [STREAMS, TROUBLE, INDEX, ANSWERS, TOKENIZERS, PROCESS];
const DATASOURCE = { type: "prometheus", uid: "$datasource" };
/** Of Grafana's grid. */
const COLUMNS = 24;
const WIDTH = 8;
const HEIGHT = 8;

/** The variables above the panels. */
function variables(): readonly object[] {
  const query = (name: string, series: string, labels: string): object => ({
    name,
    type: "query",
    datasource: DATASOURCE,
    query: { query: `label_values(${series}${labels}, ${name})`, refId: name },
    refresh: 2,
    includeAll: true,
    multi: true,
    allValue: ".*",
    sort: 1,
  });
  return [
    { name: "datasource", type: "datasource", query: "prometheus" },
    query("job", "aibrix_kvcache_index_blocks", ""),
    query("model", "aibrix_kvcache_zmq_stream_status", `{${JOB}}`),
    query("pod_key", "aibrix_kvcache_zmq_stream_status", `{${MODEL}}`),
  ];
}

function panelOf({ title, description, unit, queries, isStat }: PanelSketch, id: number, place: object): object {
  return {
    id,
    type: isStat ? "stat" : "timeseries",
    title,
    description,
    datasource: DATASOURCE,
    gridPos: place,
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(([expr, legendFormat], at) => ({
      refId: String.fromCharCode("A".charCodeAt(0) + at),
      datasource: DATASOURCE,
      expr,
      legendFormat,
    })),
  };
}

function panels(): readonly object[] {
  const all: object[] = [];
  let y = 0;
  for (const { title, panels } of ROWS) {
    all.push({
      id: all.length + 1,
      type: "row",
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: COLUMNS, h: 1 },
    });
    y++;
    for (const [at, sketch] of panels.entries()) {
      const x = (at * WIDTH) % COLUMNS;
      if (at > 0 && x === 0) y += HEIGHT;
      all.push(panelOf(sketch, all.length + 1, { x, y, w: WIDTH, h: HEIGHT }));
    }
    y += HEIGHT;
  }
  return all;
}

/** The text of `deploy/monitoring/dashboard.json`, for Grafana 10 and later. */
export function dashboardText(): string {
  const dashboard = {
    uid: "kv-event-sync",
    title: "KV event sync",
    description: "Which engine holds which KV-cache blocks: streams, index, answers.",
    tags: ["aibrix", "kv-cache"],
    schemaVersion: 39,
    editable: true,
    refresh: "30s",
    time: { from: "now-1h", to: "now" },
    templating: { list: variables() },
    panels: panels(),
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}
