import { TransportError, type TransportErrorCode } from "../../src/errors.ts";

const CONNECT_CODES: Readonly<Record<string, TransportErrorCode>> = {
  ECONNREFUSED: "refused",
  // An ipc path that nobody has bound.
  ENOENT: "refused",
  ENOTFOUND: "dns",
  EAI_AGAIN: "dns",
  EAI_FAIL: "dns",
  EAI_NODATA: "dns",
  EAI_NONAME: "dns",
  // A resolver given as `lookup` may ask DNS itself.
  ENODATA: "dns",
  ESERVFAIL: "dns",
  // The peer closed before we learnt that it had accepted.
  ECONNRESET: "disconnected",
  EPIPE: "disconnected",
};

const CONNECT_REMEDIES: Partial<Readonly<Record<TransportErrorCode, string>>> = {
  refused: "nobody listens there; check the port and whether the peer is up",
  dns: "the host name has no address; check its spelling and the resolver",
  disconnected: "the peer closed the connection at once",
};

const LISTEN_CODES: Readonly<Record<string, TransportErrorCode>> = {
  EADDRINUSE: "address-in-use",
  ENOTFOUND: "dns",
  EAI_AGAIN: "dns",
};

/** Why an attempt to connect failed. */
export function connectError(endpoint: string, error: unknown): TransportError {
  const systemCode = systemCodeOf(error);
  const code = CONNECT_CODES[systemCode] ?? "unreachable";
  const remedy = CONNECT_REMEDIES[code] ?? "there is no route, or no answer; check the address and the network";
  return new TransportError(code, `zmtp ${endpoint}: cannot connect (${systemCode}): ${remedy}`, { cause: error });
}

/** Why an endpoint cannot be bound. */
export function listenError(endpoint: string, error: unknown): TransportError {
  const systemCode = systemCodeOf(error);
  const code = LISTEN_CODES[systemCode] ?? "invalid-endpoint";
  const remedy =
    code === "address-in-use"
      ? "somebody else is bound there; choose another"
      : "choose an address of this machine and a port or path that this process may use";
  return new TransportError(code, `zmtp ${endpoint}: cannot bind (${systemCode}): ${remedy}`, { cause: error });
}

/** The peer ended the connection; `error` is there when it was not a clean end. */
export function disconnectError(endpoint: string, during: "handshake" | "traffic", error?: unknown): TransportError {
  const what = error === undefined ? "the peer closed the connection" : `the connection broke (${systemCodeOf(error)})`;
  // libzmq closes without a word when it wants another mechanism, even before it has named its own.
  const hint =
    during === "handshake" ? " during the handshake; it may want another security mechanism or socket type" : "";
  return new TransportError("disconnected", `zmtp ${endpoint}: ${what}${hint}`, { cause: error });
}

/** A fault that a pure part found, with the endpoint in front. */
export function located(endpoint: string, error: unknown): TransportError {
  if (!(error instanceof TransportError)) {
    return new TransportError("internal", `zmtp ${endpoint}: ${String(error)}`, { cause: error });
  }
  return new TransportError(error.code, `zmtp ${endpoint}: ${error.message}`, { cause: error.cause });
}

/** Of several addresses that failed, Node reports one error that holds the others; the first one stands for them. */
function systemCodeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code === "string") return code;
  const [first] = error instanceof AggregateError ? error.errors : [];
  return first === undefined ? "unknown" : systemCodeOf(first);
}
