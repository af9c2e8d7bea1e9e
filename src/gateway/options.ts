import { ConfigurationError } from "../errors.ts";

/** How requests are passed on. Milliseconds. */
export interface GatewayOptions {
  /** Largest request body. @default 8 MiB */
  readonly maxBodyBytes: number;
  /** Requests to one pod at a time; beyond it another pod takes the request, and where all are full nobody. @default 256 */
  readonly maxInFlight: number;
  /** Pods that a request is tried on, before any of its answer has come. @default 3 */
  readonly maxAttempts: number;
  /** For a connection to an engine. @default 5_000 */
  readonly connectTimeoutMs: number;
  /** From the request to the head of its answer. @default 300_000: a long prompt in a long queue */
  readonly headTimeoutMs: number;
  /** Between two parts of an answer. @default 60_000 */
  readonly idleTimeoutMs: number;
  /** For requests that run when it ends. @default 30_000 */
  readonly drainTimeoutMs: number;
  /** Who may send requests: `Authorization: Bearer <key>`. None: everybody. */
  readonly apiKeys: readonly string[];
  /** Models that are adapters, and the model of the pods that have them. */
  readonly adapters: Readonly<Record<string, string>>;
  /** PEM. Without it the gateway speaks plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** The same, as they are given. */
export type GatewaySettings = Partial<GatewayOptions>;

const DEFAULTS: GatewayOptions = {
  maxBodyBytes: 8 * 1024 * 1024,
  maxInFlight: 256,
  maxAttempts: 3,
  connectTimeoutMs: 5_000,
  headTimeoutMs: 300_000,
  idleTimeoutMs: 60_000,
  drainTimeoutMs: 30_000,
  apiKeys: [],
  adapters: {},
};

/** Throws ConfigurationError `invalid-option`. */
export function resolveGatewayOptions(settings: GatewaySettings = {}): GatewayOptions {
  const options = { ...DEFAULTS, ...settings };
  const { maxBodyBytes, maxInFlight, maxAttempts, connectTimeoutMs, headTimeoutMs, idleTimeoutMs } = options;
  for (const [name, value] of Object.entries({
    maxBodyBytes,
    maxInFlight,
    maxAttempts,
    connectTimeoutMs,
    headTimeoutMs,
    idleTimeoutMs,
  })) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new ConfigurationError("invalid-option", `gateway: ${name} is ${value}; use a whole number from 1`);
  }
  if (!(options.drainTimeoutMs >= 0)) {
    throw new ConfigurationError(
      "invalid-option",
      `gateway: drainTimeoutMs is ${options.drainTimeoutMs}; use milliseconds from 0`,
    );
  }
  if (options.apiKeys.some((key) => key === "")) {
    throw new ConfigurationError("invalid-option", "gateway: an API key is empty; leave it out");
  }
  return options;
}
