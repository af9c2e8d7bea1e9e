/** What a variable's text means; `read` gives `undefined` for one of another form. */
export interface Reader {
  readonly form: string;
  readonly read: (text: string) => unknown;
}

/** What sets an option from the environment. */
export interface Variable extends Reader {
  readonly option: string;
}

const TEXT: Reader = { form: "text", read: (value) => value };
const NUMBER: Reader = { form: "a number", read: numberOf };
/** As Go writes it. */
export const DURATION: Reader = { form: "a duration such as 500ms, 5s or 1m30s", read: durationMs };
/** AIBrix's gateway reads its tokenizer pool's times as whole seconds. */
const DURATION_OR_SECONDS: Reader = {
  form: "a duration such as 500ms, 5s or 1m30s, or a number of seconds",
  read: (value) => (/^\d+$/.test(value) ? Number(value) * 1_000 : durationMs(value)),
};
const SWITCH: Reader = { form: "on or off, true or false", read: (value) => SWITCHES.get(value.toLowerCase()) };
const SWITCHES: ReadonlyMap<string, boolean> = new Map([
  ["on", true],
  ["true", true],
  ["1", true],
  ["off", false],
  ["false", false],
  ["0", false],
]);
const URLS: Reader = {
  form: "URLs with commas between",
  read: (value) =>
    value
      .split(",")
      .map((url) => url.trim())
      .filter((url) => url !== ""),
};
const MINUTES: Reader = {
  form: "a number of minutes",
  read: (value) => {
    const minutes = numberOf(value);
    return minutes === undefined ? undefined : minutes * 60_000;
  },
};
const ENDPOINTS: Reader = {
  form: "endpoints with commas between",
  read: (value) =>
    value
      .split(",")
      .map((endpoint) => ({ endpoint: endpoint.trim() }))
      .filter(({ endpoint }) => endpoint !== ""),
};

/** Of tiers, such as `gpu=1,cpu=0.8`. */
export const WEIGHTS: Reader = { form: "weights such as gpu=1,cpu=0.8,disk=0.5", read: weightsOf };

/** Environment variables; the AIBRIX_ ones as the AIBrix gateway has them. Where two name one option, the later wins. */
export const VARIABLES: Readonly<Record<string, Variable>> = {
  KV_TRANSPORT: { option: "transport", ...TEXT },
  // Not KV_HOST and KV_PORT: Kubernetes sets KV_PORT to an address where a Service is named kv.
  KV_LISTEN_HOST: { option: "host", ...TEXT },
  KV_LISTEN_PORT: { option: "port", ...NUMBER },
  KV_KUBERNETES: { option: "kubernetes", ...SWITCH },
  KV_NAMESPACE: { option: "namespace", ...TEXT },
  KV_LABEL_SELECTOR: { option: "labelSelector", ...TEXT },
  KV_KUBECONFIG: { option: "kubeconfig", ...TEXT },
  KV_CONTEXT: { option: "context", ...TEXT },
  KV_ENGINE_PORT: { option: "enginePort", ...NUMBER },
  KV_ENGINE_REPLAY_PORT: { option: "engineReplayPort", ...NUMBER },
  KV_RECONCILE: { option: "reconcile", ...SWITCH },
  KV_RECONCILE_INTERVAL: { option: "reconcileIntervalMs", ...DURATION },
  KV_ENGINE_HTTP_PORT: { option: "engineHttpPort", ...NUMBER },
  KV_TIER_WEIGHTS: { option: "tierWeights", ...WEIGHTS },
  KV_EXT_PROC_PORT: { option: "extProcPort", ...NUMBER },
  KV_ROUTING_STRATEGY: { option: "routingStrategy", ...TEXT },
  KV_PREFILL_MS_PER_TOKEN: { option: "prefillMsPerToken", ...NUMBER },
  KV_RUNNING_REQUEST_MS: { option: "runningRequestMs", ...NUMBER },
  KV_WAITING_REQUEST_MS: { option: "waitingRequestMs", ...NUMBER },
  KV_SPECULATIVE_TTL: { option: "speculativeTtlMs", ...DURATION },
  KV_LOAD_INTERVAL: { option: "loadIntervalMs", ...DURATION },
  KV_HASH: { option: "hash", ...TEXT },
  KV_HASH_SEED: { option: "hashSeed", ...TEXT },
  KV_MAX_INDEX_BYTES: { option: "maxIndexBytes", ...NUMBER },
  KV_MODEL: { option: "model", ...TEXT },
  KV_LOG_LEVEL: { option: "logLevel", ...TEXT },
  KV_SNAPSHOT: { option: "snapshot", ...TEXT },
  KV_SNAPSHOT_INTERVAL: { option: "snapshotIntervalMs", ...DURATION },
  KV_PEERS: { option: "peers", ...URLS },
  KV_RESTORE_TIMEOUT: { option: "restoreTimeoutMs", ...DURATION },
  KV_TOKENIZER_TYPE: { option: "tokenizerType", ...TEXT },
  KV_TOKENIZER_PATH: { option: "tokenizerPath", ...TEXT },
  KV_TOKENIZER_ENDPOINT: { option: "tokenizerEndpoint", ...TEXT },
  KV_DUMP: { option: "dump", ...SWITCH },
  KV_CURVE_SERVER_KEY: { option: "curveServerKey", ...TEXT },
  KV_CURVE_SECRET_KEY: { option: "curveSecretKey", ...TEXT },
  KV_CURVE_SECRET_KEY_FILE: { option: "curveSecretKeyFile", ...TEXT },
  KV_PLAIN_USERNAME: { option: "plainUsername", ...TEXT },
  KV_PLAIN_PASSWORD: { option: "plainPassword", ...TEXT },
  KV_PLAIN_PASSWORD_FILE: { option: "plainPasswordFile", ...TEXT },
  AIBRIX_PREFIX_CACHE_KV_EVENT_SUBSCRIBE_ADDRS: { option: "endpoints", ...ENDPOINTS },
  AIBRIX_KV_EVENT_SYNC_ENABLED: { option: "kvEventSyncEnabled", ...SWITCH },
  AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED: { option: "kvEventSyncEnabled", ...SWITCH },
  AIBRIX_USE_REMOTE_TOKENIZER: { option: "useRemoteTokenizer", ...SWITCH },
  AIBRIX_PREFIX_CACHE_USE_REMOTE_TOKENIZER: { option: "useRemoteTokenizer", ...SWITCH },
  AIBRIX_PREFIX_CACHE_POD_RUNNING_REQUEST_IMBALANCE_ABS_COUNT: { option: "imbalanceThreshold", ...NUMBER },
  AIBRIX_PREFIX_CACHE_STANDARD_DEVIATION_FACTOR: { option: "deviationFactor", ...NUMBER },
  AIBRIX_PREFIX_CACHE_BLOCK_SIZE: { option: "blockSize", ...NUMBER },
  AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE: { option: "tokenizerType", ...TEXT },
  AIBRIX_REMOTE_TOKENIZER_ENDPOINT: { option: "tokenizerEndpoint", ...TEXT },
  AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT: { option: "tokenizerEndpoint", ...TEXT },
  AIBRIX_VLLM_TOKENIZER_ENDPOINT_TEMPLATE: { option: "tokenizerEndpointTemplate", ...TEXT },
  AIBRIX_TOKENIZER_HEALTH_CHECK_PERIOD: { option: "tokenizerHealthCheckMs", ...DURATION_OR_SECONDS },
  AIBRIX_TOKENIZER_TTL: { option: "tokenizerTtlMs", ...DURATION_OR_SECONDS },
  AIBRIX_MAX_TOKENIZERS_PER_POOL: { option: "maxTokenizers", ...NUMBER },
  AIBRIX_TOKENIZER_REQUEST_TIMEOUT: { option: "tokenizerTimeoutMs", ...DURATION_OR_SECONDS },
  AIBRIX_ZMQ_REPLAY_TIMEOUT: { option: "replayTimeoutMs", ...DURATION },
  AIBRIX_ZMQ_RECONNECT_INTERVAL: { option: "replayRetryMinMs", ...DURATION },
  AIBRIX_SYNC_MAX_CONTEXTS: { option: "maxContexts", ...NUMBER },
  AIBRIX_SYNC_MAX_PREFIXES_PER_CONTEXT: { option: "maxPrefixesPerContext", ...NUMBER },
  AIBRIX_SYNC_EVICTION_DURATION_MINUTES: { option: "entryTtlMs", ...MINUTES },
};

function numberOf(value: string): number | undefined {
  const number = Number(value);
  return value.trim() === "" || Number.isNaN(number) ? undefined : number;
}

function weightsOf(value: string): Readonly<Record<string, number>> | undefined {
  const weights: Record<string, number> = {};
  for (const part of value.split(",")) {
    const [, tier, weight] = /^\s*([^=\s]+)=([\d.]+)\s*$/.exec(part) ?? [];
    const number = numberOf(weight ?? "");
    if (tier === undefined || number === undefined) return undefined;
    weights[tier.toLowerCase()] = number;
  }
  return weights;
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A duration as Go writes it, such as `5s`, `1m30s` or `250ms`; `undefined` for what is none. */
function durationMs(value: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(value)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) sum += Number(amount) * UNITS_MS[unit!]!;
  return Math.round(sum);
}
