import type { TransportError } from "../../src/errors.ts";
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
  /** What it means that the peer closes now, without a word; `null` or no method: nothing in particular. */
  onSilentClose?(): TransportError | null;
}

/** What follows from a peer's command. */
export interface MechanismStep {
  /** Bodies of the commands to send. */
  readonly send: readonly Uint8Array[];
  /** The handshake is over and has shown this. */
  readonly done?: { readonly metadata: Metadata; readonly codec: FrameCodec | null };
  /** The handshake is over because of this; what is to be sent tells the peer. */
  readonly failure?: TransportError;
  /** Somebody else decides about the peer, whose IP `address` this is; no command is received meanwhile. */
  readonly pending?: (address: string) => Promise<MechanismStep>;
}

/** Makes the mechanism of a new connection; `metadata` is what it has to tell the peer of this socket. */
export type MechanismFactory = (metadata: Uint8Array) => Mechanism;

/** What every frame goes through after the handshake of a mechanism that encrypts; others have none. */
export interface FrameCodec {
  /** Bytes by which a wrapped body is longer. */
  readonly overheadBytes: number;
  /** Writes the body that carries this frame at `offset`; it goes in a frame without flags. */
  wrap(flags: number, body: Uint8Array, target: Uint8Array, offset: number): void;
  /**
   * The frame that this body carries. Flags outside are nobody's word and do not count.
   * Throws TransportError `protocol` or `authentication`.
   */
  unwrap(body: Uint8Array): { readonly flags: number; readonly body: Uint8Array };
}
