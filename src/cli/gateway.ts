import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import type { Logger } from "pino";
import { ConfigurationError, KVEventSyncError } from "../errors.ts";
import { Gateway, type Routed } from "../gateway/gateway.ts";
import type { GatewaySettings } from "../gateway/options.ts";
import { DURATION } from "../options/variables.ts";
import { environmentSource } from "../options.ts";
import type { Store } from "../store.ts";
import { numberFlag } from "./number-flag.ts";
import { type Flags, serve, serveOptions, withServeFlags } from "./serve.ts";

/** Of the gateway alone; all others are the daemon's. */
interface GatewayFlags {
  readonly gatewayHost: string;
  readonly gatewayPort: number;
  readonly maxInFlight?: number;
  readonly maxAttempts?: number;
  readonly maxBodyBytes?: number;
  readonly connectTimeout?: string;
  readonly headTimeout?: string;
  readonly idleTimeout?: string;
  readonly drainTimeout?: string;
  readonly apiKeyFile?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly adapter: readonly string[];
  readonly record?: string;
}

const collect = (value: string, previous: readonly string[]): readonly string[] => [...previous, value];

const EXAMPLE = `
Example: two engines behind one address
  kv-event-sync gateway --model m \\
    --endpoint tcp://10.0.0.1:5557 --replay-endpoint tcp://10.0.0.1:5558 --http-url http://10.0.0.1:8000 \\
    --endpoint tcp://10.0.0.2:5557 --replay-endpoint tcp://10.0.0.2:5558 --http-url http://10.0.0.2:8000
  curl http://127.0.0.1:8080/v1/completions -H 'content-type: application/json' -d '{"model":"m","prompt":"Hello"}'`;

/** `kv-event-sync gateway`: the daemon with a reverse proxy in front of the engines. */
export function gatewayCommand(): Command {
  const command = new Command("gateway").description(
    "An OpenAI-compatible proxy that sends each request to the engine that holds most of its prompt; a daemon besides.",
  );
  return withServeFlags(command)
    .option("--gateway-host <address>", "address of the gateway", "127.0.0.1")
    .option("--gateway-port <number>", "port of the gateway; 0 takes a free one", numberFlag, 8080)
    .option("--max-in-flight <count>", "requests to one pod at a time (default: 256)", numberFlag)
    .option(
      "--max-attempts <count>",
      "pods that a request is tried on before its answer begins (default: 3)",
      numberFlag,
    )
    .option("--max-body-bytes <bytes>", "largest request (default: 8 MiB)", numberFlag)
    .option("--connect-timeout <duration>", "for a connection to an engine (default: 5s)")
    .option("--head-timeout <duration>", "until an answer begins (default: 5m)")
    .option("--idle-timeout <duration>", "between two parts of an answer (default: 1m)")
    .option("--drain-timeout <duration>", "for requests that run when it ends (default: 30s)")
    .option("--api-key-file <file>", "keys of clients, one in a line; without it everybody may ask")
    .option("--tls-cert <file>", "PEM; the gateway then speaks HTTPS")
    .option("--tls-key <file>", "PEM")
    .addOption(
      new Option("--adapter <name=model>", "requests for this adapter go to pods of that model (repeatable)")
        .argParser(collect)
        .default([], "none"),
    )
    .addHelpText("after", EXAMPLE)
    .action((flags: GatewayFlags & Flags) => run(flags));
}

async function run(flags: GatewayFlags & Flags): Promise<void> {
  const { gatewayHost: host, gatewayPort: port, maxInFlight, maxAttempts, maxBodyBytes, ...more } = flags;
  const { connectTimeout, headTimeout, idleTimeout, drainTimeout, apiKeyFile, tlsCert, tlsKey, adapter, ...rest } =
    more;
  const { record, ...serveFlags } = rest;
  const options = serveOptions(serveFlags as unknown as Flags, environmentSource());
  const settings: GatewaySettings = {
    ...(maxInFlight !== undefined && { maxInFlight }),
    ...(maxAttempts !== undefined && { maxAttempts }),
    ...(maxBodyBytes !== undefined && { maxBodyBytes }),
    ...duration("connectTimeoutMs", "--connect-timeout", connectTimeout),
    ...duration("headTimeoutMs", "--head-timeout", headTimeout),
    ...duration("idleTimeoutMs", "--idle-timeout", idleTimeout),
    ...duration("drainTimeoutMs", "--drain-timeout", drainTimeout),
    ...(apiKeyFile !== undefined && { apiKeys: keysIn(apiKeyFile) }),
    ...tlsOf(tlsCert, tlsKey),
    adapters: Object.fromEntries(adapter.map(adapterOf)),
  };
  await serve(options, {
    ...(record !== undefined && { recordPath: record }),
    open: (store, logger) => openGateway(store, logger, settings, { host, port }),
  });
}

async function openGateway(
  store: Store,
  logger: Logger,
  options: GatewaySettings,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Gateway> {
  const gateway = new Gateway({
    router: store.router,
    directory: store,
    requests: store.metrics.requests,
    options,
    onRouted: (routed) => logger.debug(routed, lineOf(routed)),
    onError: (error) => logger.error({ err: error }, "gateway"),
  });
  const { url } = await gateway.listen({ host, port }).catch((cause: Error) => {
    throw new KVEventSyncError(
      "cannot-listen",
      `http://${host}:${port}: cannot listen there (${cause.message}); choose others with --gateway-host and --gateway-port`,
      { cause },
    );
  });
  logger.info({ url }, `gateway on ${url}`);
  return gateway;
}

function lineOf({ path, status, pod, reason }: Routed): string {
  return pod === null ? `${path}: ${status} ${reason ?? ""}` : `${path}: ${status} from ${pod}; ${reason}`;
}

function duration<Name extends string>(
  name: Name,
  flag: string,
  text: string | undefined,
): Partial<Record<Name, number>> {
  if (text === undefined) return {};
  const ms = DURATION.read(text);
  if (typeof ms !== "number") throw invalid(`${flag} is ${JSON.stringify(text)}: use ${DURATION.form}`);
  return { [name]: ms } as Record<Name, number>;
}

function keysIn(path: string): string[] {
  const keys = textOf("--api-key-file", path)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (keys.length === 0) throw invalid(`--api-key-file ${path} has no key; write one in a line`);
  return keys;
}

function tlsOf(cert: string | undefined, key: string | undefined): Pick<GatewaySettings, "tls"> {
  if (cert === undefined && key === undefined) return {};
  if (cert === undefined || key === undefined) throw invalid("TLS takes both: --tls-cert and --tls-key");
  return { tls: { cert: textOf("--tls-cert", cert), key: textOf("--tls-key", key) } };
}

function adapterOf(text: string): [string, string] {
  const [, name, model] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || model === undefined) {
    throw invalid(`--adapter is ${JSON.stringify(text)}: use name=model, such as sql=llama`);
  }
  return [name, model];
}

function textOf(flag: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigurationError("invalid-file", `${flag} ${path}: ${reason}; give a readable file`, { cause });
  }
}

function invalid(problem: string): ConfigurationError {
  return new ConfigurationError("invalid-option", problem);
}
