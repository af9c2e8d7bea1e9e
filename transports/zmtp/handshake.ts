import { TransportError } from "../../src/errors.ts";
import { isRefusal } from "./authentication.ts";
import { type Metadata, parseCommand, parseError } from "./commands.ts";
import { checkGreeting, encodeGreeting, GREETING_BYTES, type Greeting, parseGreeting } from "./greeting.ts";
import type { FrameCodec, Mechanism, MechanismStep, SocketType } from "./mechanism.ts";
import { COMMAND, copyOf, EMPTY, encodeFrame, LONG, latin1, printable, readLongSize } from "./wire.ts";

/** More than any mechanism needs: a stranger gets no more memory than this before it has proved itself. */
const MAX_COMMAND_BYTES = 8_192;

/** RFC 28: an identity has at most 255 bytes. */
const MAX_IDENTITY_BYTES = 255;

/** Who may talk to whom (RFC 28 and RFC 29). */
const PARTNERS: Readonly<Record<SocketType, readonly string[]>> = {
  SUB: ["PUB", "XPUB"],
  PUB: ["SUB", "XSUB"],
  DEALER: ["ROUTER", "DEALER", "REP"],
  ROUTER: ["DEALER", "REQ", "ROUTER"],
};

/** What the handshake showed of the peer. */
export interface Peer {
  readonly socketType: string;
  /** Empty when it has none. A copy. */
  readonly identity: Uint8Array;
  /** ZMTP 3.1 or later: it knows SUBSCRIBE, CANCEL, PING and PONG. */
  readonly knowsCommands: boolean;
}

export interface HandshakeStep {
  /** Frames to send now, before anything else is done. */
  readonly send: readonly Uint8Array[];
  /** Why the connection must end. What was to be sent still is: the peer can then tell the reason as well. */
  readonly failure?: unknown;
  readonly done?: {
    readonly peer: Peer;
    readonly codec: FrameCodec | null;
    /** What followed the handshake in the same bytes. */
    readonly rest: Uint8Array;
  };
  /** Wait for this, and hand what it gives to `resume`; what is pushed meanwhile is not looked at. */
  readonly pending?: (address: string) => Promise<MechanismStep>;
}

/**
 * The whole handshake as a pure state machine: bytes in, frames to send and finally the peer out. It never asks to
 * send anything but greeting and handshake, for libzmq drops whoever sends traffic before its own READY was read.
 */
export class Handshake {
  readonly #mechanism: Mechanism;
  readonly #socketType: SocketType;
  #unread: Uint8Array = EMPTY;
  #greeting: Greeting | null = null;
  #isPending = false;

  constructor(mechanism: Mechanism, socketType: SocketType) {
    this.#mechanism = mechanism;
    this.#socketType = socketType;
  }

  /** To be sent at once, whole, without waiting for a byte of the peer. */
  opening(): Uint8Array {
    return encodeGreeting(this.#mechanism.name, this.#mechanism.asServer);
  }

  /** Takes what came. Call no more after `failure` or `done`. */
  push(chunk: Uint8Array): HandshakeStep {
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    return guarded((send) => (this.#isPending ? this.#hold(send) : this.#advance(send)));
  }

  /** Goes on after `pending`, with what it gave. */
  resume(step: MechanismStep): HandshakeStep {
    this.#isPending = false;
    return guarded((send) => this.#follow(step, send) ?? this.#advance(send));
  }

  /** What it means that the peer closes now, without a word; `null`: nothing in particular. */
  onSilentClose(): TransportError | null {
    return this.#mechanism.onSilentClose?.() ?? null;
  }

  #advance(send: Uint8Array[]): HandshakeStep {
    if (this.#greeting === null) {
      checkGreeting(this.#unread);
      if (this.#unread.length < GREETING_BYTES) return this.#wait(send);
      this.#greet();
      for (const body of this.#mechanism.start()) send.push(encodeFrame(COMMAND, body));
    }
    for (;;) {
      const body = this.#takeCommand();
      if (body === null) return this.#wait(send);
      const command = parseCommand(body);
      if (command.name === "ERROR") throw peerError(command.data);
      const end = this.#follow(this.#mechanism.receive(command), send);
      if (end !== null) return end;
    }
  }

  /** What the mechanism's step is to us; `null` where the peer's next command is wanted. */
  #follow({ send: replies, done, failure, pending }: MechanismStep, send: Uint8Array[]): HandshakeStep | null {
    for (const reply of replies) send.push(encodeFrame(COMMAND, reply));
    if (failure !== undefined) return { send, failure };
    if (pending !== undefined) {
      this.#isPending = true;
      return { ...this.#hold(send), pending };
    }
    if (done === undefined) return null;
    const peer = this.#judge(done.metadata, this.#greeting!);
    return { send, done: { peer, codec: done.codec, rest: this.#unread } };
  }

  /** Keeps what came before the verdict on the peer; an honest one sends nothing. */
  #hold(send: readonly Uint8Array[]): HandshakeStep {
    if (this.#unread.length <= MAX_COMMAND_BYTES) return this.#wait(send);
    throw new TransportError("protocol", `${this.#unread.length} bytes came before the handshake was over`);
  }

  /** What stays unread is copied: a view would keep the whole chunk of a peer that may take its time. */
  #wait(send: readonly Uint8Array[]): HandshakeStep {
    this.#unread = copyOf(this.#unread);
    return { send };
  }

  #greet(): void {
    this.#greeting = parseGreeting(this.#unread);
    this.#unread = this.#unread.subarray(GREETING_BYTES);
    const theirs = this.#greeting.mechanism;
    if (theirs !== this.#mechanism.name) {
      throw new TransportError(
        "mechanism-mismatch",
        `the peer's security mechanism is "${printable(theirs)}", ours is "${this.#mechanism.name}"; configure the same`,
      );
    }
  }

  /** The body of the next command, once it is whole. */
  #takeCommand(): Uint8Array | null {
    const unread = this.#unread;
    const flags = unread[0];
    if (flags === undefined) return null;
    if ((flags & ~LONG) !== COMMAND) {
      throw new TransportError("protocol", `frame with flags ${flags} came before the peer's handshake was over`);
    }
    const start = flags & LONG ? 9 : 2;
    if (unread.length < start) return null;
    const size = flags & LONG ? readLongSize(unread, 1) : unread[1]!;
    if (size > MAX_COMMAND_BYTES) {
      throw new TransportError(
        "message-too-large",
        `handshake command of ${size} bytes exceeds ${MAX_COMMAND_BYTES}; check the peer`,
      );
    }
    if (unread.length < start + size) return null;
    this.#unread = unread.subarray(start + size);
    return unread.subarray(start, start + size);
  }

  #judge(metadata: Metadata, greeting: Greeting): Peer {
    const type = metadata.get("socket-type");
    if (type === undefined) throw new TransportError("protocol", "the peer's metadata name no Socket-Type");
    const socketType = latin1(type);
    if (!PARTNERS[this.#socketType].includes(socketType)) {
      throw new TransportError(
        "socket-type-mismatch",
        `the peer is a ${printable(socketType)}, which cannot talk to a ${this.#socketType}; check the port`,
      );
    }
    const identity = metadata.get("identity") ?? EMPTY;
    if (identity.length > MAX_IDENTITY_BYTES) {
      throw new TransportError("protocol", `identity of ${identity.length} bytes exceeds ${MAX_IDENTITY_BYTES}`);
    }
    const knowsCommands = greeting.major > 3 || greeting.minor >= 1;
    return { socketType, identity: copyOf(identity), knowsCommands };
  }
}

/** What a peer's ERROR command is to us. */
export function peerError(data: Uint8Array): TransportError {
  const reason = parseError(data);
  return isRefusal(reason)
    ? new TransportError("authentication", `the peer does not accept us: "${reason}"; check our credentials`)
    : new TransportError("peer-error", `the peer refuses: "${reason}"`);
}

function guarded(advance: (send: Uint8Array[]) => HandshakeStep): HandshakeStep {
  const send: Uint8Array[] = [];
  try {
    return advance(send);
  } catch (failure) {
    return { send, failure };
  }
}
