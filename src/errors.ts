/**
 * Every error that this package throws or reports. `code` is stable and meant for programs; `message` says what
 * happened, quotes the value and names the remedy; `cause` keeps what lies below.
 */
export class KVEventSyncError extends Error {
  override readonly name: string = "KVEventSyncError";
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** An option, a file, a flag or a variable that cannot be used. Thrown once, where the options enter. */
export class ConfigurationError extends KVEventSyncError {
  override readonly name = "ConfigurationError";
}

/** Why a connection is not (or no longer) there, or why a socket refuses a call. */
export type TransportErrorCode =
  /** The endpoint cannot be parsed, or its scheme is not one of this transport's. */
  | "invalid-endpoint"
  /** Somebody else is bound there already. */
  | "address-in-use"
  /** Nobody listens there: the process behind the endpoint is gone or not up yet. */
  | "refused"
  /** No route, or no answer in time. */
  | "unreachable"
  /** The host name has no address. */
  | "dns"
  /** The peer closed or reset an established connection. */
  | "disconnected"
  /** The peer sent nothing for too long. */
  | "heartbeat-timeout"
  /** The peer did not finish its handshake in time. */
  | "handshake-timeout"
  /** The peer does not speak ZMTP 3, or broke its rules. */
  | "protocol"
  | "mechanism-mismatch"
  | "socket-type-mismatch"
  /** Credentials or keys were not accepted. */
  | "authentication"
  /** The peer sent an ERROR command. */
  | "peer-error"
  /** A frame or message exceeds a limit. */
  | "message-too-large"
  /** A send queue is full. */
  | "high-water-mark"
  /** A mandatory ROUTER has no such peer. */
  | "host-unreachable"
  /** This transport cannot do that (see its capabilities). */
  | "unsupported"
  /** An optional package is not installed. */
  | "missing-package"
  /** The socket was closed. */
  | "closed"
  | "internal";

/** What went wrong in a transport. */
export class TransportError extends KVEventSyncError {
  override readonly name = "TransportError";
  declare readonly code: TransportErrorCode;

  constructor(code: TransportErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/** Which part of a payload could not be read; also the `kind` label of the metric that counts it. */
export type DecodeErrorCode =
  /** Not MessagePack, or cut off. */
  | "msgpack"
  /** MessagePack, but not a batch of events. */
  | "batch"
  /** An event whose type is not known. */
  | "event-type"
  /** An event of a known type whose fields are not. */
  | "event-fields";

/** A payload, or one event in it, that cannot be read. */
export class DecodeError extends KVEventSyncError {
  override readonly name = "DecodeError";
  declare readonly code: DecodeErrorCode;

  constructor(code: DecodeErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/** Why a prompt could not be tokenized. */
export type TokenizerErrorCode =
  /** Nobody answers there, or the connection broke. */
  | "unreachable"
  | "timeout"
  /** The engine answered with a status other than success. */
  | "http-status"
  /** What the engine answered is none of its shapes. */
  | "invalid-answer"
  | "answer-too-large"
  /** The prompt, the chat template or the tokens cannot be used. */
  | "invalid-prompt"
  /** A file of a tokenizer cannot be read or used. */
  | "invalid-file"
  /** An optional package is not installed. */
  | "missing-package"
  /** Too many prompts wait already. */
  | "busy"
  /** The tokenizer ended while it worked on the prompt. */
  | "crashed"
  /** The tokenizer was closed. */
  | "closed";

/** What went wrong in a tokenizer. */
export class TokenizerError extends KVEventSyncError {
  override readonly name = "TokenizerError";
  declare readonly code: TokenizerErrorCode;
  /** Of an engine's answer; `null` where there was none. */
  readonly status: number | null;

  constructor(code: TokenizerErrorCode, message: string, options?: { cause?: unknown; status?: number }) {
    super(code, message, options);
    this.status = options?.status ?? null;
  }
}
