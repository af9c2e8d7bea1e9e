import { TransportError, type TransportErrorCode } from "../../src/errors.ts";

const CONNECT_CODES: Readonly<Record<string, TransportErrorCode>> = {
  ECONNREFUSED: "refused",
  ENOTFOUND: "dns",
  EAI_AGAIN: "dns",
  EAI_FAIL: "dns",
  // The peer closed before it had answered.
  ECONNRESET: "disconnected",
  EPIPE: "disconnected",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  ENETDOWN: "unreachable",
  EADDRNOTAVAIL: "unreachable",
  EACCES: "unreachable",
  EPERM: "unreachable",
  ETIMEDOUT: "unreachable",
};

const CONNECT_REMEDIES: Partial<Readonly<Record<TransportErrorCode, string>>> = {
  refused: "nobody listens there; check the port and whether the peer is up",
  dns: "the host name has no address; check its spelling and the resolver",
  disconnected: "the peer closed the connection at once; it may not speak WebSocket",
  unreachable: "there is no route, or no answer; check the address and the network",
  protocol: "the peer does not speak ZWS 2.0 there; check the port and the path",
};

const TOO_LARGE: ReadonlySet<string> = new Set([
  "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
  "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH",
  "WS_ERR_TOO_MANY_BUFFERED_PARTS",
]);

/** Codes with which a WebSocket's peer complains of us (RFC 6455, 7.4.1). */
const COMPLAINTS: readonly [lowest: number, highest: number] = [1_002, 1_015];
const ABNORMAL = [1_005, 1_006];

/** Why an attempt to connect failed. What is no error of the system is one of HTTP. */
export function connectError(endpoint: string, error: unknown): TransportError {
  const systemCode = systemCodeOf(error);
  const code = CONNECT_CODES[systemCode] ?? "protocol";
  const what = code === "protocol" ? (error as Error).message : systemCode;
  const text = `websocket ${endpoint}: cannot connect (${what}): ${CONNECT_REMEDIES[code]}`;
  return new TransportError(code, text, { cause: error });
}

/** Why an endpoint cannot be bound. */
export function listenError(endpoint: string, error: unknown): TransportError {
  const systemCode = systemCodeOf(error);
  const code = systemCode === "EADDRINUSE" ? "address-in-use" : "invalid-endpoint";
  const remedy =
    code === "address-in-use"
      ? "somebody else is bound there; choose another"
      : "choose an address of this machine and a port that this process may use";
  return new TransportError(code, `websocket ${endpoint}: cannot bind (${systemCode}): ${remedy}`, { cause: error });
}

/** What a WebSocket that was open complained of. */
export function socketError(error: unknown): TransportError {
  const systemCode = systemCodeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  if (TOO_LARGE.has(systemCode)) {
    const text = `a frame is too large (${message}); raise maxMessageBytes or check the peer`;
    return new TransportError("message-too-large", text, { cause: error });
  }
  if (systemCode.startsWith("WS_ERR_")) {
    return new TransportError("protocol", `the peer broke the protocol (${message}); check it`, { cause: error });
  }
  return new TransportError("disconnected", `the connection broke (${systemCode})`, { cause: error });
}

/** The peer closed, with a code of RFC 6455. */
export function closedError(code: number): TransportError {
  const [lowest, highest] = COMPLAINTS;
  if (code >= lowest && code <= highest && !ABNORMAL.includes(code)) {
    return new TransportError("peer-error", `the peer gave the connection up with code ${code}; see its log`);
  }
  return new TransportError("disconnected", "the peer closed the connection");
}

/** The same error, with the endpoint in front. */
export function located(endpoint: string, error: unknown): TransportError {
  if (error instanceof TransportError) {
    return new TransportError(error.code, `websocket ${endpoint}: ${error.message}`, { cause: error.cause });
  }
  return new TransportError("internal", `websocket ${endpoint}: ${String(error)}`, { cause: error });
}

/** Of several addresses that failed, Node reports one error that holds the others; the first one stands for them. */
function systemCodeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code === "string") return code;
  const [first] = error instanceof AggregateError ? error.errors : [];
  return first === undefined ? "unknown" : systemCodeOf(first);
}
