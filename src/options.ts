import { readFileSync } from "node:fs";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import type { KubernetesOptions } from "./discovery/kubernetes.ts";
import type { StaticEndpoint } from "./discovery/static.ts";
import { ConfigurationError } from "./errors.ts";
import type { SyncPrefixHashTableOptions } from "./indexer/table-options.ts";
import { decideSync, spellingHint } from "./options/aibrix.ts";
import { tokenizerOf, tokenizerShape } from "./options/tokenizer.ts";
import { VARIABLES } from "./options/variables.ts";
import type { ReconcilerOptions } from "./reconciler/reconciler.ts";
import { firstIssue } from "./schema-issue.ts";
import { resolveWarmStartOptions, type WarmStartOptions } from "./snapshot/options.ts";
import type { StreamOptions } from "./sync/options.ts";
import type { TokenizerSettings } from "./tokenizer/settings.ts";

/** Which implementation of `Transport` is used. `auto` is `zmtp`. */
export type TransportName = "zmtp" | "libzmq" | "memory" | "websocket" | "auto";

/** What the daemon shows of itself to engines that ask for it; it is the client of both mechanisms. */
export type SecurityOptions =
  | { readonly mechanism: "PLAIN"; readonly username: string; readonly password: string }
  /** Keys in Z85. Without a secret key the daemon is a stranger, which a server may let in. */
  | { readonly mechanism: "CURVE"; readonly serverKey: string; readonly secretKey?: string };

/** What holds for every connection, whichever transport makes it; defaults of the transport. */
export interface ConnectionOptions {
  /** Largest message taken, all frames together; the memory transport takes any. */
  readonly maxMessageBytes?: number;
  /** First delay before a lost or refused connection is tried again; doubles up to `reconnectMaxMs`. */
  readonly reconnectMinMs?: number;
  readonly reconnectMaxMs?: number;
}

/** When the load of pods counts more than the prefix. */
export interface RoutingOptions {
  /** Running requests between the most and the least loaded pod above which only the least loaded are candidates. */
  readonly imbalanceThreshold: number;
  /** A pod is too loaded above mean + factor × standard deviation. */
  readonly deviationFactor: number;
}

/** What the daemon runs with: everything is set and checked. */
export interface DaemonOptions {
  /** Whether engines are followed; else the HTTP API answers alone, of an empty index. */
  readonly enabled: boolean;
  /** What is odd and can be lived with, a sentence each. */
  readonly warnings: readonly string[];
  /** Asks engines whether they dropped their caches without a word; absent: they are not asked. */
  readonly reconcile?: ReconcilerOptions;
  /** When the load of pods counts more than the prefix; for who routes, not for `/query`. AIBrix's names and defaults. */
  readonly routing: RoutingOptions;
  readonly transport: TransportName;
  /** Address and port of the HTTP API. */
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  readonly endpoints: readonly StaticEndpoint[];
  /** Of the connections to engines. None: neither authentication nor encryption. */
  readonly security?: SecurityOptions;
  /** Whose pods are followed; absent: no cluster's. */
  readonly kubernetes?: KubernetesOptions;
  readonly index: SyncPrefixHashTableOptions;
  readonly streams: StreamOptions;
  readonly connections: ConnectionOptions;
  /** What the start goes on from, and what is kept for the next. */
  readonly warmStart: WarmStartOptions;
  /** What makes tokens of prompts; absent: callers send tokens. */
  readonly tokenizer?: TokenizerSettings;
  /** Whether `GET /dump` answers. */
  readonly dumpEnabled: boolean;
}

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
  reconcile: z.boolean().optional(),
  reconcileIntervalMs: count(1).optional(),
  engineHttpPort: z.number().int().min(1).max(65_535).optional(),
  tierWeights: z.record(text, z.number().min(0).max(1)).optional(),
  kvEventSyncEnabled: z.boolean().optional(),
  useRemoteTokenizer: z.boolean().optional(),
  imbalanceThreshold: count(0).optional(),
  deviationFactor: z.number().min(0).optional(),
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
  imbalanceThreshold: 8,
  deviationFactor: 1,
  maxContexts: 1_000,
  maxPrefixesPerContext: 1_000_000,
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
const SECRETS: ReadonlySet<string> = new Set(["curveSecretKey", "plainPassword"]);

/** Options of one origin; `originOf` names it for a message, such as `--port`. */
export interface OptionSource {
  readonly values: Readonly<Record<string, unknown>>;
  readonly originOf: (option: string) => string;
  /** How a text should look that could not be read and stands among the values as it was given. */
  readonly formOf?: (option: string) => string | undefined;
  /** What is odd about this source and can be lived with, a sentence each. */
  readonly warnings?: readonly string[];
}

/** Options that environment variables set; an empty variable is none. */
export function environmentSource(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): OptionSource {
  const values: Record<string, unknown> = {};
  const origins = new Map<string, string>();
  const forms = new Map<string, string>();
  for (const [name, { option, form, read }] of Object.entries(VARIABLES)) {
    const text = environment[name];
    if (text === undefined || text === "") continue;
    const value = read(text);
    // Refused later, unless a stronger source sets the option.
    values[option] = value ?? text;
    origins.set(option, name);
    if (value === undefined) forms.set(option, form);
    else forms.delete(option);
  }
  const names = Object.keys(VARIABLES);
  const hints = Object.keys(environment).map((name) => spellingHint(name, names));
  return {
    values,
    originOf: (option) => origins.get(option) ?? "environment",
    formOf: (option) => forms.get(option),
    warnings: hints.filter((hint) => hint !== undefined),
  };
}

/**
 * The transport that `KV_TRANSPORT` names; `zmtp` where it is not set.
 *
 * @throws ConfigurationError `invalid-option`
 */
export function defaultTransport(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): TransportName {
  const { KV_TRANSPORT: transport } = environment;
  return resolveOptions([environmentSource({ KV_TRANSPORT: transport })]).transport;
}

/**
 * Options of a file: YAML where its name ends so, else JSON.
 *
 * @throws ConfigurationError `invalid-file` where it cannot be read or holds no options.
 */
export function fileSource(path: string): OptionSource {
  let values: unknown;
  try {
    const text = readFileSync(path, "utf8");
    values = /\.ya?ml$/i.test(path) ? parseYaml(text) : JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigurationError(
      "invalid-file",
      `file ${path}: ${reason}; give a readable file of JSON, or of YAML that is named so`,
      { cause },
    );
  }
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new ConfigurationError("invalid-file", `file ${path}: expected an object of options`);
  }
  return { values: { ...values }, originOf: (option) => `${option} in ${path}` };
}

/**
 * Merges options, the later source over the earlier one, and fills in the defaults.
 *
 * @throws ConfigurationError `invalid-option` with the option's origin, its value and what to use instead.
 */
export function resolveOptions(sources: readonly OptionSource[]): DaemonOptions {
  const { merged, origins } = mergeSources(sources);
  const parsed = schema.safeParse(merged);
  if (!parsed.success) throw optionError(parsed.error, merged, origins);
  const warnings = sources.flatMap((source) => source.warnings ?? []);
  return withDefaults(parsed.data, warnings);
}

/** One line of an effective configuration. */
export interface EffectiveOption {
  readonly option: string;
  /** `null`: not set, and without a default of its own. `***` in the place of a secret. */
  readonly value: unknown;
  /** The flag, variable or place in a file; `default`. */
  readonly source: string;
}

/** What holds of every option, and who said so. Throws as `resolveOptions`. */
export function effectiveOptions(sources: readonly OptionSource[]): readonly EffectiveOption[] {
  resolveOptions(sources);
  const { merged, origins } = mergeSources(sources);
  return Object.keys(schema.shape).map((option) => {
    const source = origins.get(option);
    if (source === undefined)
      return { option, value: (DEFAULTS as Readonly<Record<string, unknown>>)[option] ?? null, source: "default" };
    return { option, value: SECRETS.has(option) ? "***" : merged[option], source: source.originOf(option) };
  });
}

/** The later source over the earlier one, and which one it was. */
function mergeSources(sources: readonly OptionSource[]): {
  readonly merged: Record<string, unknown>;
  readonly origins: ReadonlyMap<string, OptionSource>;
} {
  const merged: Record<string, unknown> = {};
  const origins = new Map<string, OptionSource>();
  for (const source of sources) {
    for (const [option, value] of Object.entries(source.values)) {
      if (value === undefined) continue;
      merged[option] = value;
      origins.set(option, source);
    }
  }
  return { merged, origins };
}

function withDefaults(values: Values, found: readonly string[]): DaemonOptions {
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
  const tokenizer = tokenizerOf(values);
  return {
    enabled: isEnabled,
    warnings: [...found, ...warnings],
    transport: values.transport ?? DEFAULTS.transport,
    host: values.host ?? DEFAULTS.host,
    port: values.port ?? DEFAULTS.port,
    logLevel: values.logLevel ?? DEFAULTS.logLevel,
    endpoints: (values.endpoints ?? []).map((endpoint) => endpointOf(endpoint, values)),
    ...(security !== undefined && { security }),
    ...(findsPods && { kubernetes: kubernetesOf(values) }),
    ...(values.reconcile === true && { reconcile: withoutUndefined({ intervalMs, httpPort }) }),
    routing: {
      imbalanceThreshold: values.imbalanceThreshold ?? DEFAULTS.imbalanceThreshold,
      deviationFactor: values.deviationFactor ?? DEFAULTS.deviationFactor,
    },
    index: withoutUndefined({ maxContexts, maxPrefixesPerContext, maxOrphansPerSource, entryTtlMs, tierWeights }),
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

function optionError(
  error: z.ZodError,
  merged: Readonly<Record<string, unknown>>,
  origins: ReadonlyMap<string, OptionSource>,
): ConfigurationError {
  const { path, key, value, problem } = firstIssue(error, merged, Object.keys(schema.shape));
  const source = origins.get(key);
  const origin = source?.originOf(key) ?? key;
  const form = source?.formOf?.(key);
  const remedy = form === undefined ? problem : `use ${form}`;
  const shown = SECRETS.has(key) ? "what is not shown" : value;
  return new ConfigurationError("invalid-option", `${origin}${path.slice(key.length)} is ${shown}: ${remedy}`);
}
