import { TransportError, type TransportErrorCode } from "../../src/errors.ts";

/** What libzmq said of a handshake that failed. */
export interface HandshakeFault {
  readonly code: TransportErrorCode;
  readonly text: string;
  readonly cause?: unknown;
}

/** How an attempt to connect ended: all that libzmq lets us see of it. */
export interface FailedAttempt {
  /** The system was asked to connect: the host name had an address. */
  readonly isResolved: boolean;
  /** The system did not refuse at once. */
  readonly isDelayed: boolean;
  readonly durationMs: number;
}

/** A refusal comes after one round trip; that a neighbour is not there is known after three seconds. */
const LATE_MS = 2_500;

const HANDSHAKE_CODES: Readonly<Record<string, TransportErrorCode>> = {
  ERR_ZMTP_MECHANISM_MISMATCH: "mechanism-mismatch",
  ERR_ZMTP_KEY_EXCHANGE: "authentication",
  ERR_ZMTP_CRYPTOGRAPHIC: "authentication",
};

/** Why libzmq would not bind. */
export function bindError(endpoint: string, error: unknown): TransportError {
  const systemCode = codeOf(error);
  const [code, remedy] = BIND_CAUSES[systemCode] ?? [
    "invalid-endpoint",
    "choose an address of this machine and a port or path that this process may use",
  ];
  return new TransportError(code, `libzmq ${endpoint}: cannot bind (${systemCode}): ${remedy}`, { cause: error });
}

const BIND_CAUSES: Readonly<Record<string, readonly [TransportErrorCode, string]>> = {
  EADDRINUSE: ["address-in-use", "somebody else is bound there; choose another"],
  EMFILE: ["internal", "no socket or file is left to this process; close some or raise the limit of open files"],
};

/** libzmq made no socket, or would not even begin to connect. */
export function openError(endpoint: string, error: unknown): TransportError {
  const systemCode = codeOf(error);
  const text = `libzmq ${endpoint}: no socket (${systemCode}); close some or raise the limit of open files`;
  return new TransportError("internal", text, { cause: error });
}

/** libzmq tells that an attempt failed, but not why: that is read from how it went. */
export function connectError(endpoint: string, { isResolved, isDelayed, durationMs }: FailedAttempt): TransportError {
  const fail = (code: TransportErrorCode, text: string): TransportError =>
    new TransportError(code, `libzmq ${endpoint}: cannot connect: ${text}`);
  if (!isResolved) return fail("dns", "the host name has no address; check its spelling and the resolver");
  if (!isDelayed || durationMs > LATE_MS) {
    return fail("unreachable", "there is no route, or no answer; check the address and the network");
  }
  return fail("refused", "nobody listens there; check the port and whether the peer is up");
}

/** What an event `handshake:error:…` means; `other` says nothing but that the connection broke. */
export function handshakeFault(type: string, error: unknown): HandshakeFault | null {
  if (type === "handshake:error:other") return null;
  const code = codeOf(error);
  const name = code === "unknown" ? String((error as { status?: unknown } | null)?.status ?? code) : code;
  const isRefusal = type === "handshake:error:auth" || code.startsWith("ERR_ZAP");
  const text = isRefusal
    ? `the handshake was refused (${name}); check the credentials`
    : `the handshake failed (${name}); check that the peer speaks ZMTP 3 and wants the same security mechanism`;
  return { code: isRefusal ? "authentication" : (HANDSHAKE_CODES[code] ?? "protocol"), text, cause: error };
}

/** An event that names a fault, as a cause. */
export function faultError(endpoint: string, { code, text, cause }: HandshakeFault): TransportError {
  return new TransportError(code, `libzmq ${endpoint}: ${text}`, { cause });
}

/** The connection ended while libzmq would have connected again: the peer, the network or a time-out ended it. */
export function disconnectError(endpoint: string, during: "handshake" | "traffic"): TransportError {
  const hint =
    during === "handshake" ? " during the handshake; it may want another security mechanism or socket type" : "";
  return new TransportError("disconnected", `libzmq ${endpoint}: the peer closed the connection${hint}`);
}

export function handshakeTimeoutError(endpoint: string, timeoutMs: number): TransportError {
  const text = `no handshake in ${timeoutMs} ms; check that it speaks ZMTP 3, or raise handshakeTimeoutMs`;
  return new TransportError("handshake-timeout", `libzmq ${endpoint}: ${text}`);
}

/**
 * libzmq gave the connection up for good and names no fault. It does so for two: a socket type that does not fit, and
 * a frame above its limit.
 */
export function silentFaultError(
  endpoint: string,
  during: "handshake" | "traffic",
  maxMessageBytes: number,
): TransportError {
  if (during === "handshake") {
    const text = "the peer is another kind of socket, or its READY is broken; check the endpoint";
    return new TransportError("socket-type-mismatch", `libzmq ${endpoint}: ${text}`);
  }
  const text = `a frame exceeds maxMessageBytes ${maxMessageBytes}, or is broken; raise it or check the peer`;
  return new TransportError("message-too-large", `libzmq ${endpoint}: ${text}`);
}

/** Whether libzmq could not send because the queue for the peer is full. */
export function isFull(error: unknown): boolean {
  return codeOf(error) === "EAGAIN";
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "unknown";
}
