import { TransportError } from "../../../src/errors.ts";
import type { FrameCodec } from "../mechanism.ts";
import { COMMAND, MORE, readUint32, writeUint32 } from "../wire.ts";
import { BOX_OVERHEAD_BYTES, NONCE_BYTES, nonce, type Secretbox } from "./box.ts";

/** What a MESSAGE begins with: the length of its name, and the name. */
const NAME = Buffer.from("\x07MESSAGE", "latin1");
const NONCE_AT = NAME.length;
const BOX_AT = NONCE_AT + 8;

/** Where a nonce counts, behind its prefix of 16 bytes. */
const COUNT_AT = NONCE_BYTES - 8;

/** Flags inside the box (RFC 26, section "MESSAGE"); libzmq marks a command by the second. */
const INNER_MORE = 0x01;
const INNER_COMMAND = 0x02;

/** What the handshake agreed on. */
export interface CurveSession {
  readonly secretbox: Secretbox;
  /** Shared by both short-term pairs: gone with the connection, so that nothing recorded can be read later. */
  readonly key: Uint8Array;
  readonly asServer: boolean;
  /** How many short nonces this side has used. */
  readonly sent: number;
  /** The short nonce of the peer's last command. */
  readonly received: Uint8Array;
}

/** Frames as CURVE's MESSAGE: each in a box, under a count that only grows, so that none comes twice. */
export class CurveCodec implements FrameCodec {
  readonly overheadBytes: number = BOX_AT + BOX_OVERHEAD_BYTES + 1;
  readonly #secretbox: Secretbox;
  readonly #key: Uint8Array;
  readonly #sendNonce: Uint8Array;
  readonly #receiveNonce: Uint8Array;
  /** Exact up to 2^53: three hundred years at a million frames a second. */
  #sent: number;

  constructor({ secretbox, key, asServer, sent, received }: CurveSession) {
    this.#secretbox = secretbox;
    this.#key = key;
    this.#sent = sent;
    this.#sendNonce = nonce(asServer ? "CurveZMQMESSAGES" : "CurveZMQMESSAGEC", new Uint8Array(8));
    this.#receiveNonce = nonce(asServer ? "CurveZMQMESSAGEC" : "CurveZMQMESSAGES", received);
  }

  wrap(flags: number, body: Uint8Array, target: Uint8Array, offset: number): void {
    this.#sent += 1;
    const sendNonce = this.#sendNonce;
    writeUint32(sendNonce, COUNT_AT, Math.floor(this.#sent / 0x1_0000_0000));
    writeUint32(sendNonce, COUNT_AT + 4, this.#sent % 0x1_0000_0000);
    const message = new Uint8Array(1 + body.length);
    message[0] = ((flags & MORE) === 0 ? 0 : INNER_MORE) | ((flags & COMMAND) === 0 ? 0 : INNER_COMMAND);
    message.set(body, 1);
    target.set(NAME, offset);
    target.set(sendNonce.subarray(COUNT_AT), offset + NONCE_AT);
    target.set(this.#secretbox.seal(message, sendNonce, this.#key), offset + BOX_AT);
  }

  unwrap(body: Uint8Array): { readonly flags: number; readonly body: Uint8Array } {
    if (body.length < this.overheadBytes || !startsWithName(body)) {
      throw new TransportError("protocol", `frame of ${body.length} bytes is no MESSAGE of CURVE; check the peer`);
    }
    this.#count(body);
    const message = this.#open(body.subarray(BOX_AT));
    const inner = message[0]!;
    if ((inner & ~(INNER_MORE | INNER_COMMAND)) !== 0 || inner === (INNER_MORE | INNER_COMMAND)) {
      throw new TransportError("protocol", `frame with flags ${inner} in its box; check the peer`);
    }
    const flags = inner === INNER_COMMAND ? COMMAND : inner;
    return { flags, body: message.subarray(1) };
  }

  /** Takes over the frame's count, if it is higher than the last one. */
  #count(body: Uint8Array): void {
    const last = this.#receiveNonce;
    const high = readUint32(body, NONCE_AT);
    const lastHigh = readUint32(last, COUNT_AT);
    if (high < lastHigh || (high === lastHigh && readUint32(body, NONCE_AT + 4) <= readUint32(last, COUNT_AT + 4))) {
      throw new TransportError("protocol", "frame whose nonce was used before: it is replayed or out of order");
    }
    last.set(body.subarray(NONCE_AT, BOX_AT), COUNT_AT);
  }

  #open(box: Uint8Array): Uint8Array {
    try {
      return this.#secretbox.open(box, this.#receiveNonce, this.#key);
    } catch {
      throw new TransportError("authentication", "frame that the peer did not seal: it was changed on its way");
    }
  }
}

function startsWithName(body: Uint8Array): boolean {
  for (let i = 0; i < NAME.length; i += 1) if (body[i] !== NAME[i]) return false;
  return true;
}
