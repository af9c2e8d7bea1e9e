import { readFileSync } from "node:fs";
import { z } from "zod";
import type { KubernetesOptions } from "../discovery/kubernetes.ts";
import type { StaticEndpoint } from "../discovery/static.ts";
import { ConfigurationError } from "../errors.ts";
import { DEFAULT_ROUTING, type RoutingOptions, resolveRoutingOptions } from "../routing/options.ts";
import { STRATEGY_NAMES } from "../routing/strategy.ts";
import { resolveWarmStartOptions, type WarmStartOptions } from "../snapshot/options.ts";
import { decideSync } from "./aibrix.ts";
import type { DaemonOptions, SecurityOptions } from "./daemon-options.ts";
import { tokenizerOf, tokenizerShape } from "./tokenizer.ts";

const count = (least: number): z.ZodNumber => z.number().int().min(least).max(Number.MAX_SAFE_INTEGER);
const text = z.string().min(1).max(1_024);

const endpointSchema = z.strictObject({
  endpoint: text,
  replayEndpoint: text.optional(),
  model: text.optional(),
  name: text.optional(),
  ranks: count(1).optional(),
  blockSize: count(1).optional(),
  loraId: count(-1).optional(),
  topic: z.string().max(1_024).optional(),
  routingGroup: text.optional(),
  httpUrl: text.optional(),
});

const schema = z.strictObject({
  transport: z.enum(["zmtp", "libzmq", "memory", "websocket", "auto"]).optional(),
  host: text.optional(),
  port: z.number().int().min(0).max(65_535).optional(),
  logLevel: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).optional(),
  endpoints: z.array(endpointSchema).max(10_000).optional(),
  kubernetes: z.boolean().optional(),
  namespace: text.optional(),
  labelSelector: text.optional(),
  kubeconfig: text.optional(),
  context: text.optional(),
  enginePort: z.number().int().min(1).max(65_535).optional(),
  engineReplayPort: z.number().int().min(0).max(65_535).optional(),
  extProcPort: z.number().int().min(0).max(65_535).optional(),
  reconcile: z.boolean().optional(),
  reconcileIntervalMs: count(1).optional(),
  engineHttpPort: z.number().int().min(1).max(65_535).optional(),
  tierWeights: z.record(text, z.number().min(0).max(1)).optional(),
  kvEventSyncEnabled: z.boolean().optional(),
  useRemoteTokenizer: z.boolean().optional(),
  routingStrategy: z.enum(STRATEGY_NAMES).optional(),
  imbalanceThreshold: count(0).optional(),
  deviationFactor: z.number().min(0).optional(),
  prefillMsPerToken: z.number().min(0).optional(),
  runningRequestMs: z.number().min(0).optional(),
  waitingRequestMs: z.number().min(0).optional(),
  speculativeTtlMs: count(0).optional(),
  loadIntervalMs: count(0).optional(),
  model: text.optional(),
  topic: z.string().max(1_024).optional(),
  ranks: count(1).optional(),
  blockSize: count(1).optional(),
  curveServerKey: text.optional(),
  curveSecretKey: text.optional(),
  curveSecretKeyFile: text.optional(),
  plainUsername: text.optional(),
  plainPassword: text.optional(),
  plainPasswordFile: text.optional(),
  hash: z.enum(["seeded", "xxh3"]).optional(),
  hashSeed: z
    .union([
      count(0),
      z.string().regex(/^(0x[0-9a-f]{1,16}|\d{1,20})$/i, "expected a number, or 0x and hexadecimal digits"),
    ])
    .optional(),
  maxIndexBytes: count(1).optional(),
  maxContexts: count(1).optional(),
  maxPrefixesPerContext: count(1).optional(),
  maxOrphansPerSource: count(1).optional(),
  entryTtlMs: count(0).optional(),
  replayTimeoutMs: count(1).optional(),
  replayIdleMs: count(1).optional(),
  maxHeldBytes: count(1).optional(),
  quietCheckMs: count(0).optional(),
  replayRetryMinMs: count(1).optional(),
  replayRetryMaxMs: count(1).optional(),
  maxMessageBytes: count(1).optional(),
  reconnectMinMs: count(1).optional(),
  reconnectMaxMs: count(1).optional(),
  snapshot: text.optional(),
  snapshotIntervalMs: count(0).optional(),
  peers: z.array(text).max(100).optional(),
  restoreTimeoutMs: count(1).optional(),
  dump: z.boolean().optional(),
  ...tokenizerShape,
});

type Values = z.output<typeof schema>;

/** As they are where nobody says otherwise; the parts themselves have some of them, too, for embedders. */
const DEFAULTS = {
  transport: "zmtp",
  host: "127.0.0.1",
  port: 8090,
  logLevel: "info",
  endpoints: [],
  kubernetes: false,
  labelSelector: "model.aibrix.ai/kv-events-enabled=true",
  enginePort: 5557,
  engineReplayPort: 5558,
  ranks: 1,
  topic: "",
  reconcile: false,
  reconcileIntervalMs: 10_000,
  engineHttpPort: 8000,
  tierWeights: { gpu: 1, cpu: 0.8 },
  routingStrategy: DEFAULT_ROUTING.strategy,
  imbalanceThreshold: DEFAULT_ROUTING.imbalanceThreshold,
  deviationFactor: DEFAULT_ROUTING.deviationFactor,
  prefillMsPerToken: DEFAULT_ROUTING.cost.prefillMsPerToken,
  runningRequestMs: DEFAULT_ROUTING.cost.runningMs,
  waitingRequestMs: DEFAULT_ROUTING.cost.waitingMs,
  speculativeTtlMs: DEFAULT_ROUTING.speculativeTtlMs,
  loadIntervalMs: DEFAULT_ROUTING.loadIntervalMs,
  hash: "seeded",
  maxIndexBytes: 2 ** 30,
  maxContexts: 1_000,
  maxPrefixesPerContext: 50_000_000,
  maxOrphansPerSource: 100_000,
  entryTtlMs: 0,
  replayTimeoutMs: 5_000,
  quietCheckMs: 2_000,
  replayRetryMinMs: 1_000,
  replayRetryMaxMs: 30_000,
  snapshotIntervalMs: 60_000,
  restoreTimeoutMs: 60_000,
  peers: [],
  dump: true,
} as const satisfies Partial<Values> & Readonly<Record<string, unknown>>;

/** Their values are never shown. */
export const SECRETS: ReadonlySet<string> = new Set(["curveSecretKey", "plainPassword"]);

/** Of all options. */
export const OPTION_NAMES: readonly string[] = Object.keys(schema.shape);

/** `null` where nobody says otherwise and there is no default. */
export function defaultOf(option: string): unknown {
  return (DEFAULTS as Readonly<Record<string, unknown>>)[option] ?? null;
}

/**
 * What these values make, with the defaults; `found` are warnings that there are already.
 *
 * @throws z.ZodError for a value of another type; ConfigurationError for values that do not go together.
 */
export function buildOptions(merged: Readonly<Record<string, unknown>>, found: readonly string[]): DaemonOptions {
  const values = schema.parse(merged);
  const { isEnabled, warnings } = decideSync(values);
  // AIBrix's gateway finds its engines in the cluster: who switches sync on there says no more.
  const findsPods = values.kubernetes ?? (values.kvEventSyncEnabled === true && values.endpoints === undefined);
  const { reconcileIntervalMs: intervalMs, engineHttpPort: httpPort } = values;
  const { maxContexts, maxPrefixesPerContext, maxOrphansPerSource, entryTtlMs, tierWeights } = values;
  const { maxMessageBytes, reconnectMinMs, reconnectMaxMs } = values;
  const { replayTimeoutMs, replayIdleMs, maxHeldBytes, quietCheckMs, replayRetryMinMs } = values;
  // A first delay above the default for the longest one raises that.
  const replayRetryMaxMs = values.replayRetryMaxMs ?? Math.max(30_000, replayRetryMinMs ?? 0);
  const quietCheckMaxMs = Math.max(60_000, quietCheckMs ?? 0);
  const security = securityOf(values);
  const told: string[] = [];
  const tokenizer = tokenizerOf(values, (message) => told.push(message));
  return {
    enabled: isEnabled,
    warnings: [...found, ...warnings, ...told],
    transport: values.transport ?? DEFAULTS.transport,
    host: values.host ?? DEFAULTS.host,
    port: values.port ?? DEFAULTS.port,
    logLevel: values.logLevel ?? DEFAULTS.logLevel,
    endpoints: (values.endpoints ?? []).map((endpoint) => endpointOf(endpoint, values)),
    ...(security !== undefined && { security }),
    ...(findsPods && { kubernetes: kubernetesOf(values) }),
    ...(values.reconcile === true && { reconcile: withoutUndefined({ intervalMs, httpPort }) }),
    routing: routingOf(values),
    ...(values.extProcPort !== undefined && { extProcPort: values.extProcPort }),
    index: withoutUndefined({
      hash: values.hash,
      seed: seedOf(values),
      maxBytes: values.maxIndexBytes,
      maxContexts,
      maxPrefixesPerContext,
      maxOrphansPerSource,
      entryTtlMs,
      tierWeights,
    }),
    streams: withoutUndefined({
      replayTimeoutMs,
      replayIdleMs,
      maxHeldBytes,
      quietCheckMs,
      quietCheckMaxMs,
      replayRetryMinMs,
      replayRetryMaxMs,
    }),
    connections: withoutUndefined({ maxMessageBytes, reconnectMinMs, reconnectMaxMs }),
    warmStart: warmStartOf(values),
    ...(tokenizer !== undefined && { tokenizer }),
    dumpEnabled: values.dump ?? DEFAULTS.dump,
  };
}

function routingOf(values: Values): RoutingOptions {
  const { routingStrategy: strategy, imbalanceThreshold, deviationFactor, speculativeTtlMs, loadIntervalMs } = values;
  const { engineHttpPort, blockSize } = values;
  const { prefillMsPerToken, runningRequestMs: runningMs, waitingRequestMs: waitingMs } = values;
  return resolveRoutingOptions({
    ...withoutUndefined({
      strategy,
      imbalanceThreshold,
      deviationFactor,
      speculativeTtlMs,
      loadIntervalMs,
      engineHttpPort,
      blockSize,
    }),
    cost: withoutUndefined({ prefillMsPerToken, runningMs, waitingMs }),
  });
}

/** Of hashes that others know: a seed of our own hash is random, and nobody's business. */
function seedOf({ hash, hashSeed }: Values): bigint | undefined {
  if (hashSeed === undefined) return undefined;
  if (hash !== "xxh3") throw new ConfigurationError("invalid-option", "hashSeed is for hash xxh3; leave it out");
  return BigInt.asUintN(64, BigInt(hashSeed));
}

function kubernetesOf(values: Values): KubernetesOptions {
  const { namespace, labelSelector, kubeconfig, context, enginePort: port, engineReplayPort, topic } = values;
  const replayPort = engineReplayPort === 0 ? null : engineReplayPort;
  return withoutUndefined({ namespace, labelSelector, kubeconfig, context, port, replayPort, topic });
}

function warmStartOf({ snapshot, snapshotIntervalMs, peers, restoreTimeoutMs }: Values): WarmStartOptions {
  const options = withoutUndefined({ snapshotPath: snapshot, snapshotIntervalMs, peers, restoreTimeoutMs });
  resolveWarmStartOptions(options);
  return options;
}

function securityOf(values: Values): SecurityOptions | undefined {
  const { curveServerKey: serverKey, plainUsername: username } = values;
  const secretKey = values.curveSecretKey ?? secretIn("curveSecretKeyFile", values.curveSecretKeyFile);
  const password = values.plainPassword ?? secretIn("plainPasswordFile", values.plainPasswordFile);
  if ((serverKey ?? secretKey) !== undefined && (username ?? password) !== undefined) {
    throw new ConfigurationError("invalid-option", "CURVE and PLAIN are both configured: leave out one of them");
  }
  if (username !== undefined || password !== undefined) {
    if (username === undefined || password === undefined) {
      throw new ConfigurationError("invalid-option", "PLAIN takes both: KV_PLAIN_USERNAME and KV_PLAIN_PASSWORD_FILE");
    }
    return { mechanism: "PLAIN", username, password };
  }
  if (serverKey !== undefined) return { mechanism: "CURVE", serverKey, ...(secretKey !== undefined && { secretKey }) };
  if (secretKey === undefined) return undefined;
  throw new ConfigurationError("invalid-option", "CURVE takes the engines' public key, too: set KV_CURVE_SERVER_KEY");
}

/** What a file holds, without white space around it. */
function secretIn(option: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, "utf8").trim();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigurationError("invalid-file", `${option} ${path}: ${reason}; give a readable file`, { cause });
  }
}

function endpointOf(
  given: z.output<typeof endpointSchema>,
  { model, topic, blockSize, ranks }: Values,
): StaticEndpoint {
  const wanted = given.model ?? model;
  if (wanted === undefined) {
    throw new ConfigurationError(
      "invalid-option",
      `endpoint ${given.endpoint} has no model; name it with --model, KV_MODEL or "model" in the file`,
    );
  }
  const { endpoint, ...own } = withoutUndefined(given);
  return {
    ...withoutUndefined({ topic, blockSize, ranks }),
    ...own,
    endpoint: given.endpoint ?? endpoint,
    model: wanted,
  };
}

type Defined<T> = { [Name in keyof T]: Exclude<T[Name], undefined> };

function withoutUndefined<T extends object>(values: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<Defined<T>>;
}
