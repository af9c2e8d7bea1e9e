import { Command, Option } from "commander";
import { type Logger, pino } from "pino";
import { createStore } from "../container.ts";
import { EndpointPicker } from "../envoy/picker.ts";
import { EnvoyServer } from "../envoy/server.ts";
import { ConfigurationError, KVEventSyncError } from "../errors.ts";
import { DURATION, type Reader, WEIGHTS } from "../options/variables.ts";
import { type DaemonOptions, environmentSource, fileSource, type OptionSource, resolveOptions } from "../options.ts";
import { createServer } from "../server/server.ts";
import type { Store } from "../store.ts";
import { LevelSwitch } from "./level-switch.ts";
import { LimitedLog } from "./limited-log.ts";
import { logObserver, reconcilerLog, snapshotLog, tokenizerLog, watchLog } from "./log-observer.ts";
import { numberFlag } from "./number-flag.ts";
import { openRecording } from "./record.ts";
import { StopSignal } from "./stop-signal.ts";

export interface Flags {
  readonly endpoint: readonly string[];
  readonly replayEndpoint: readonly string[];
  readonly model: readonly string[];
  readonly peer?: readonly string[];
  readonly httpUrl?: readonly string[];
  readonly snapshotInterval?: string;
  readonly speculativeTtl?: string;
  readonly loadInterval?: string;
  readonly dump?: boolean;
  readonly config?: string;
  readonly [option: string]: unknown;
}

/** Of options whose names are others. */
const FLAGS: Readonly<Record<string, string>> = {
  endpoints: "--endpoint",
  peers: "--peer",
  snapshotIntervalMs: "--snapshot-interval",
  speculativeTtlMs: "--speculative-ttl",
  loadIntervalMs: "--load-interval",
};

const collect = (value: string, previous: readonly string[]): readonly string[] => [...previous, value];

/** `kv-event-sync serve`: the daemon. */
export function serveCommand(): Command {
  const command = new Command("serve").description(
    "Follows engines, and answers over HTTP which of them holds the longest part of a prompt.",
  );
  return withServeFlags(command).action(({ record, ...flags }: Flags & { readonly record?: string }) =>
    serve(serveOptions(flags as Flags, environmentSource()), record === undefined ? {} : { recordPath: record }),
  );
}

/** Gives a command the flags of the daemon. */
export function withServeFlags(command: Command): Command {
  const list = (flags: string, description: string): Option =>
    new Option(flags, description).argParser(collect).default([], "none");
  return command
    .addOption(list("--endpoint <url>", "an engine's PUB socket, such as tcp://10.0.0.1:5557 (repeatable)"))
    .addOption(
      list("--replay-endpoint <url>", "its ROUTER socket: the n-th belongs to the n-th --endpoint (repeatable)"),
    )
    .addOption(list("--model <name>", "the model of all endpoints, or the n-th one's (repeatable)"))
    .option("--kubernetes", "follow the pods of a cluster that have AIBrix's labels")
    .option("--namespace <name>", "whose pods; * for all namespaces (default: the kubeconfig's, or the daemon's own)")
    .option("--label-selector <selector>", "which pods (default: model.aibrix.ai/kv-events-enabled=true)")
    .option("--kubeconfig <file>", "(default: KUBECONFIG, ~/.kube/config, else the pod's service account)")
    .option("--context <name>", "of the kubeconfig (default: its current one)")
    .option("--engine-port <number>", "PUB port of a pod's rank 0 (default: 5557)", numberFlag)
    .option("--engine-replay-port <number>", "its ROUTER port; 0: engines have none (default: 5558)", numberFlag)
    .option("--reconcile", "ask engines over HTTP whether they dropped their caches without a word")
    .option("--engine-http-port <number>", "of an engine without --http-url (default: 8000)", numberFlag)
    .option("--tier-weights <weights>", "what a block is worth by where it lies (default: gpu=1,cpu=0.8; others 0.5)")
    .addOption(
      list("--http-url <url>", "an engine's HTTP server: the n-th belongs to the n-th --endpoint (repeatable)"),
    )
    .option("--routing-strategy <name>", "of /route: prefix-cache, cost-aware, least-request, round-robin or random")
    .option(
      "--ext-proc-port <number>",
      "pick endpoints for Envoy over gRPC, at --host; 0 takes a free port",
      numberFlag,
    )
    .option("--speculative-ttl <duration>", "how long a pod is believed to have what was sent there (default: 5s)")
    .option("--load-interval <duration>", "ask engines' /metrics for running and waiting requests (default: 0s, not)")
    .option("--ranks <count>", "data-parallel ranks of each endpoint, on the ports that follow", numberFlag)
    .option("--topic <prefix>", "subscribe to topics that begin so (default: all)")
    .option("--block-size <tokens>", "tokens per block where engines do not say", numberFlag)
    .option(
      "--tokenizer-type <name>",
      "of prompts in queries: remote asks engines, local files, character takes bytes (default: none)",
    )
    .option("--tokenizer-path <folder>", "of a model with its tokenizer.json: for local, and where no engine answers")
    .option("--tokenizer-endpoint <url>", "remote: who tokenizes for all models (default: each model's own pods)")
    .option("--tokenizer-endpoint-template <url>", "remote: of a pod, %s is its host (default: http://%s:8000)")
    .option("--transport <name>", "zmtp, libzmq, memory, websocket or auto (default: zmtp)")
    .option("--curve-server-key <key>", "CURVE: the engines' public key, in Z85")
    .option("--curve-secret-key-file <file>", "CURVE: our secret key (see keygen)")
    .option("--plain-username <name>", "PLAIN: our name")
    .option("--plain-password-file <file>", "PLAIN: our password")
    .option("--host <address>", "address of the HTTP API (default: 127.0.0.1)")
    .option("--port <number>", "port of the HTTP API; 0 takes a free one (default: 8090)", numberFlag)
    .option("--snapshot <file>", "go on from this file, and keep what is known in it (its folder has to be there)")
    .option("--snapshot-interval <duration>", "such as 30s, from one snapshot to the next; 0s: at the end alone")
    .addOption(list("--peer <url>", "another daemon to go on from, such as http://10.0.0.9:8090 (repeatable)"))
    .option("--restore-timeout-ms <ms>", "time for a peer or the snapshot to be taken over", numberFlag)
    .option("--no-dump", "do not answer GET /dump, which tells the seed of the hashes")
    .option("--config <file>", "a file of options, in JSON or YAML; environment and flags are stronger")
    .option(
      "--log-level <level>",
      "trace, debug, info, warn, error, fatal or silent (default: info); SIGUSR2 changes to debug and back",
    )
    .option("--hash <name>", "of blocks: seeded, or xxh3 to be asked by /query_by_hash (default: seeded)")
    .option("--hash-seed <number>", "of xxh3: the same as the callers' (default: 0)")
    .option("--max-index-bytes <bytes>", "memory of the index (default: 1 GiB)", numberFlag)
    .option("--max-contexts <count>", "models × adapters × block sizes in the index", numberFlag)
    .option("--max-prefixes-per-context <count>", "blocks of each of them", numberFlag)
    .option("--max-message-bytes <bytes>", "largest message taken from an engine (default: 64 MiB)", numberFlag)
    .option("--replay-timeout-ms <ms>", "time for a replay endpoint to answer", numberFlag)
    .option("--quiet-check-ms <ms>", "quiet after which lost batches are looked for; 0 never looks", numberFlag)
    .option("--record <file>", "write down all that engines send, for replay and inspect");
}

/**
 * What flags, environment and file say together.
 *
 * @throws ConfigurationError as `resolveOptions`, and `invalid-option` where flags do not pair.
 */
export function serveOptions(flags: Flags, environment: OptionSource): DaemonOptions {
  return resolveOptions(serveSources(flags, environment));
}

/** Flags whose text means something else than itself. */
const READERS: Readonly<Record<string, Reader>> = {
  snapshotIntervalMs: DURATION,
  speculativeTtlMs: DURATION,
  loadIntervalMs: DURATION,
  tierWeights: WEIGHTS,
};

/** File, environment and flags, the stronger one later. Throws as `serveOptions` where flags do not pair. */
export function serveSources(flags: Flags, environment: OptionSource): readonly OptionSource[] {
  const { endpoint, replayEndpoint, model, httpUrl = [], peer = [], dump, config, ...more } = flags;
  const { snapshotInterval, speculativeTtl, loadInterval, ...others } = more;
  const values: Record<string, unknown> = { ...others };
  if (peer.length > 0) values["peers"] = peer;
  if (snapshotInterval !== undefined) values["snapshotIntervalMs"] = snapshotInterval;
  if (speculativeTtl !== undefined) values["speculativeTtlMs"] = speculativeTtl;
  if (loadInterval !== undefined) values["loadIntervalMs"] = loadInterval;
  for (const [option, { read }] of Object.entries(READERS)) {
    const text = values[option];
    if (typeof text === "string") values[option] = read(text) ?? text;
  }
  if (dump === false) values["dump"] = false;
  if (endpoint.length > 0) values["endpoints"] = pairs(endpoint, replayEndpoint, model, httpUrl);
  else if (httpUrl.length > 0) throw unpaired("--http-url", httpUrl.length, 0);
  else if (replayEndpoint.length > 0) throw unpaired("--replay-endpoint", replayEndpoint.length, 0);
  if (model.length === 1) values["model"] = model[0];
  else if (model.length > 1 && endpoint.length === 0) throw unpaired("--model", model.length, 0);
  const flagSource: OptionSource = {
    values,
    originOf: (option) => FLAGS[option] ?? `--${option.replace(/[A-Z]/g, (l) => `-${l.toLowerCase()}`)}`,
    formOf: (option) => (typeof values[option] === "string" ? READERS[option]?.form : undefined),
  };
  const files = config === undefined ? [] : [fileSource(config)];
  return [...files, environment, flagSource];
}

function pairs(
  endpoints: readonly string[],
  replays: readonly string[],
  models: readonly string[],
  httpUrls: readonly string[],
): object[] {
  if (httpUrls.length > 0 && httpUrls.length !== endpoints.length)
    throw unpaired("--http-url", httpUrls.length, endpoints.length);
  if (replays.length > 0 && replays.length !== endpoints.length)
    throw unpaired("--replay-endpoint", replays.length, endpoints.length);
  if (models.length > 1 && models.length !== endpoints.length)
    throw unpaired("--model", models.length, endpoints.length);
  return endpoints.map((endpoint, at) => ({
    endpoint,
    ...(replays[at] !== undefined && { replayEndpoint: replays[at] }),
    ...(models.length > 1 && { model: models[at] }),
    ...(httpUrls[at] !== undefined && { httpUrl: httpUrls[at] }),
  }));
}

function unpaired(flag: string, count: number, endpoints: number): ConfigurationError {
  return new ConfigurationError(
    "invalid-option",
    `${flag} is given ${count} times for ${endpoints} --endpoint: the n-th belongs to the n-th; use --config for more`,
  );
}

/** What else runs with the daemon. */
export interface ServeExtras {
  /** Where to write down all that engines send. */
  readonly recordPath?: string;
  /** Opens what else listens, and says where. It is closed before anything else is. */
  readonly open?: (store: Store, logger: Logger, log: LimitedLog) => Promise<AsyncDisposable>;
}

/** Runs the daemon until it is told to stop. */
export async function serve(options: DaemonOptions, { recordPath, open }: ServeExtras = {}): Promise<void> {
  // On standard error, so that standard output stays free for who pipes.
  const logger = pino({ name: "kv-event-sync", level: options.logLevel }, pino.destination({ dest: 2, sync: true }));
  const { transport, security, connections, endpoints, kubernetes, index, streams, warmStart, tokenizer } = options;
  using _level = new LevelSwitch(logger);
  for (const warning of options.warnings) logger.warn(warning);
  if (!options.enabled) logger.warn("KV event sync is off: no engine is followed");
  using log = new LimitedLog(logger);
  using stop = new StopSignal();
  await using recording = recordPath === undefined ? null : await openRecording(recordPath, options);
  await using store = await createStore({
    ...(recording !== null && { recorder: recording.recorder }),
    transport,
    ...(security !== undefined && { security }),
    connections,
    endpoints,
    ...(kubernetes !== undefined && { kubernetes }),
    watchObserver: watchLog(log),
    index,
    streams,
    warmStart,
    enabled: options.enabled,
    onStartFailed: (error) => logger.error({ err: error }, "cannot start"),
    routing: options.routing,
    ...(options.reconcile !== undefined && { reconcile: options.reconcile }),
    reconcilerObserver: reconcilerLog(log),
    ...(tokenizer !== undefined && { tokenizer }),
    onTokenizerDisagrees: tokenizerLog(log),
    observers: [logObserver(logger, log)],
    snapshotObserver: snapshotLog(logger),
    processMetrics: true,
  });
  const server = createServer({
    directory: store,
    indexer: store.indexer,
    registered: store.registered,
    registry: store.registry,
    requests: store.metrics.requests,
    tokenizer: store.tokenizer,
    router: store.router,
    isReady: () => store.isReady,
    ...(options.dumpEnabled && { dump: () => store.dump() }),
    onError: (error) => log.say("error", "failed requests", "the API", { err: error }, "request failed"),
  });
  const { host, port } = options;
  const { url } = await server.listen({ host, port }).catch((cause: Error) => {
    throw new KVEventSyncError(
      "cannot-listen",
      `http://${host}:${port}: cannot listen there (${cause.message}); choose others with --host and --port`,
      { cause },
    );
  });
  try {
    // Before it is done, too: the pods of a cluster that does not answer are waited for.
    logger.info({ url, transport }, `listening on ${url}`);
    await using _envoy = await openEnvoy(store, options, logger, log);
    await using _extra = await open?.(store, logger, log);
    await follow(store, stop.signal);
    if (!stop.signal.aborted) logger.info({ pods: store.pods().length }, "the pods of this moment are followed");
    await stop.stopped;
    logger.info("stopping");
  } finally {
    await server.close();
  }
}

/** The endpoint picker for Envoy, where it is asked for. */
async function openEnvoy(
  store: Store,
  { host, extProcPort }: DaemonOptions,
  logger: Logger,
  log: LimitedLog,
): Promise<AsyncDisposable | null> {
  if (extProcPort === undefined) return null;
  const server = await EnvoyServer.create({
    picker: new EndpointPicker(store.router, store),
    isReady: () => store.isReady,
    onError: (error) => log.say("error", "failed streams", "Envoy", { err: error }, "endpoint picker"),
  });
  const port = await server.listen({ host, port: extProcPort });
  logger.info({ host, port }, `picking endpoints for Envoy on ${host}:${port}`);
  return server;
}

/** Starts, unless the signal comes first. */
async function follow(store: Store, signal: AbortSignal): Promise<void> {
  try {
    await store.initKVEventSync({ signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  if (store.startError !== null) throw store.startError;
}
