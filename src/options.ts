import { readFileSync } from "node:fs";
import { z } from "zod";
import type { KubernetesOptions } from "./discovery/kubernetes.ts";
import type { StaticEndpoint } from "./discovery/static.ts";
import { ConfigurationError } from "./errors.ts";
import type { SyncPrefixHashTableOptions } from "./indexer/table-options.ts";
import { tokenizerOf, tokenizerShape } from "./options/tokenizer.ts";
import { VARIABLES } from "./options/variables.ts";
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

/** What the daemon runs with: everything is set and checked. */
export interface DaemonOptions {
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

/** Their values are never shown. */
const SECRETS: ReadonlySet<string> = new Set(["curveSecretKey", "plainPassword"]);

/** Options of one origin; `originOf` names it for a message, such as `--port`. */
export interface OptionSource {
  readonly values: Readonly<Record<string, unknown>>;
  readonly originOf: (option: string) => string;
  /** How a text should look that could not be read and stands among the values as it was given. */
  readonly formOf?: (option: string) => string | undefined;
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
  return {
    values,
    originOf: (option) => origins.get(option) ?? "environment",
    formOf: (option) => forms.get(option),
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
 * Options of a JSON file.
 *
 * @throws ConfigurationError `invalid-file` where it cannot be read or is no JSON object.
 */
export function fileSource(path: string): OptionSource {
  let values: unknown;
  try {
    values = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigurationError("invalid-file", `file ${path}: ${reason}; give a readable JSON file`, { cause });
  }
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new ConfigurationError("invalid-file", `file ${path}: expected a JSON object of options`);
  }
  return { values: { ...values }, originOf: (option) => `${option} in ${path}` };
}

/**
 * Merges options, the later source over the earlier one, and fills in the defaults.
 *
 * @throws ConfigurationError `invalid-option` with the option's origin, its value and what to use instead.
 */
export function resolveOptions(sources: readonly OptionSource[]): DaemonOptions {
  const merged: Record<string, unknown> = {};
  const origins = new Map<string, OptionSource>();
  for (const source of sources) {
    for (const [option, value] of Object.entries(source.values)) {
      if (value === undefined) continue;
      merged[option] = value;
      origins.set(option, source);
    }
  }
  const parsed = schema.safeParse(merged);
  if (!parsed.success) throw optionError(parsed.error, merged, origins);
  return withDefaults(parsed.data);
}

function withDefaults(values: Values): DaemonOptions {
  const { maxContexts, maxPrefixesPerContext, maxOrphansPerSource, entryTtlMs } = values;
  const { maxMessageBytes, reconnectMinMs, reconnectMaxMs } = values;
  const { replayTimeoutMs, replayIdleMs, maxHeldBytes, quietCheckMs, replayRetryMinMs } = values;
  // A first delay above the default for the longest one raises that.
  const replayRetryMaxMs = values.replayRetryMaxMs ?? Math.max(30_000, replayRetryMinMs ?? 0);
  const quietCheckMaxMs = Math.max(60_000, quietCheckMs ?? 0);
  const security = securityOf(values);
  const tokenizer = tokenizerOf(values);
  return {
    transport: values.transport ?? "zmtp",
    host: values.host ?? "127.0.0.1",
    port: values.port ?? 8090,
    logLevel: values.logLevel ?? "info",
    endpoints: (values.endpoints ?? []).map((endpoint) => endpointOf(endpoint, values)),
    ...(security !== undefined && { security }),
    ...(values.kubernetes === true && { kubernetes: kubernetesOf(values) }),
    index: withoutUndefined({ maxContexts, maxPrefixesPerContext, maxOrphansPerSource, entryTtlMs }),
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
    dumpEnabled: values.dump ?? true,
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
