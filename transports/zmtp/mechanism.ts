import type { Command, Metadata } from "./commands.ts";

/** The sockets of ZeroMQ that this transport is. */
export type SocketType = "SUB" | "PUB" | "DEALER" | "ROUTER";

/**
 * A security mechanism (RFC 23, section "Security Mechanisms"), one instance per connection: a pure state machine from
 * the peer's greeting to its metadata. NULL, PLAIN and CURVE, client or server, all have this shape.
 */
export interface Mechanism {
  /** As in the greeting. */
  readonly name: string;
  readonly asServer: boolean;
  /** Bodies of the commands to send once the peer's greeting is known to name this mechanism too. */
  start(): readonly Uint8Array[];
  /** Takes the peer's next command, never ERROR. Throws TransportError `protocol` or `authentication`. */
  receive(command: Command): MechanismStep;
}

/** What follows from a peer's command. */
export interface MechanismStep {
  /** Bodies of the commands to send. */
  readonly send: readonly Uint8Array[];
  /** The handshake is over and has shown this. */
  readonly done?: { readonly metadata: Metadata; readonly codec: FrameCodec | null };
}

/** Makes the mechanism of a new connection; `metadata` is what it has to tell the peer of this socket. */
export type MechanismFactory = (metadata: Uint8Array) => Mechanism;

/** What every frame goes through after the handshake of a mechanism that encrypts; others have none. */
export interface FrameCodec {
  /** Bytes by which a wrapped frame is longer, at most. */
  readonly overheadBytes: number;
  /** A whole frame on the wire, header included, that carries this one. */
  wrap(flags: number, body: Uint8Array): Uint8Array;
  /** Throws TransportError `protocol` or `authentication`. */
  unwrap(flags: number, body: Uint8Array): { readonly flags: number; readonly body: Uint8Array };
}
