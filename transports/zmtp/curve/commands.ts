import { TransportError } from "../../../src/errors.ts";
import { commandBody } from "../commands.ts";
import { BOX_OVERHEAD_BYTES, LONG_NONCE_BYTES, SHORT_NONCE_BYTES } from "./box.ts";
import { KEY_BYTES } from "./keys.ts";

/** Of CurveZMQ (RFC 26). */
const VERSION = Buffer.of(1, 0);

/** Makes HELLO 200 bytes, longer than its answer: 72 by the RFC's own sum, not the 70 that it says. */
const PADDING = new Uint8Array(72);

/** What HELLO has in its box: nothing, but sealed by somebody who knows the server's key. */
export const SIGNATURE: Uint8Array = new Uint8Array(64);

/** What the server wants to see again in INITIATE. */
export const COOKIE_BYTES = 96;

const VOUCH_BYTES = 2 * KEY_BYTES;

/** `publicKey` is the client's short-term one; `count` a short nonce, as everywhere here. */
export interface Hello {
  readonly publicKey: Uint8Array;
  readonly count: Uint8Array;
  /** Around `SIGNATURE`. */
  readonly box: Uint8Array;
}

/** `random` is a long nonce. */
export interface Welcome {
  readonly random: Uint8Array;
  /** Around a `WelcomeContent`. */
  readonly box: Uint8Array;
}

export interface WelcomeContent {
  /** The server's short-term one. */
  readonly publicKey: Uint8Array;
  readonly cookie: Uint8Array;
}

export interface Initiate {
  readonly cookie: Uint8Array;
  readonly count: Uint8Array;
  /** Around an `InitiateContent`. */
  readonly box: Uint8Array;
}

export interface InitiateContent {
  /** The client's permanent one. */
  readonly publicKey: Uint8Array;
  /** A long nonce. */
  readonly vouchRandom: Uint8Array;
  /** By the client's permanent key around its short-term one and the server's permanent one: they belong together. */
  readonly vouchBox: Uint8Array;
  readonly metadata: Uint8Array;
}

export interface Ready {
  readonly count: Uint8Array;
  /** Around the server's metadata. */
  readonly box: Uint8Array;
}

export function encodeHello({ publicKey, count, box }: Hello): Uint8Array {
  return commandBody("HELLO", Buffer.concat([VERSION, PADDING, publicKey, count, box]));
}

export function encodeWelcome({ random, box }: Welcome): Uint8Array {
  return commandBody("WELCOME", Buffer.concat([random, box]));
}

export function encodeWelcomeContent({ publicKey, cookie }: WelcomeContent): Uint8Array {
  return Buffer.concat([publicKey, cookie]);
}

export function encodeInitiate({ cookie, count, box }: Initiate): Uint8Array {
  return commandBody("INITIATE", Buffer.concat([cookie, count, box]));
}

export function encodeInitiateContent({ publicKey, vouchRandom, vouchBox, metadata }: InitiateContent): Uint8Array {
  return Buffer.concat([publicKey, vouchRandom, vouchBox, metadata]);
}

export function encodeReady({ count, box }: Ready): Uint8Array {
  return commandBody("READY", Buffer.concat([count, box]));
}

/** The parts are views, as with all of these. Throws TransportError `protocol`, as all of these do. */
export function parseHello(data: Uint8Array): Hello {
  const sizes = [2, PADDING.length, KEY_BYTES, SHORT_NONCE_BYTES, boxBytes(SIGNATURE.length)] as const;
  const [version, , publicKey, count, box] = split("HELLO", data, sizes);
  if (VERSION.compare(version) === 0) return { publicKey, count, box };
  throw new TransportError("protocol", `the peer speaks CurveZMQ ${version.join(".")}, not ${VERSION.join(".")}`);
}

export function parseWelcome(data: Uint8Array): Welcome {
  const [random, box] = split("WELCOME", data, [LONG_NONCE_BYTES, boxBytes(KEY_BYTES + COOKIE_BYTES)]);
  return { random, box };
}

/** Of a box that opened, and so is as long as `parseWelcome` wants it. */
export function parseWelcomeContent(content: Uint8Array): WelcomeContent {
  return { publicKey: content.subarray(0, KEY_BYTES), cookie: content.subarray(KEY_BYTES) };
}

export function parseInitiate(data: Uint8Array): Initiate {
  const content = KEY_BYTES + LONG_NONCE_BYTES + boxBytes(VOUCH_BYTES);
  const [cookie, count, box] = split("INITIATE", data, [COOKIE_BYTES, SHORT_NONCE_BYTES, boxBytes(content)]);
  return { cookie, count, box };
}

export function parseInitiateContent(content: Uint8Array): InitiateContent {
  const sizes = [KEY_BYTES, LONG_NONCE_BYTES, boxBytes(VOUCH_BYTES), 0] as const;
  const [publicKey, vouchRandom, vouchBox, metadata] = split("INITIATE", content, sizes);
  return { publicKey, vouchRandom, vouchBox, metadata };
}

export function parseReady(data: Uint8Array): Ready {
  const [count, box] = split("READY", data, [SHORT_NONCE_BYTES, boxBytes(0)]);
  return { count, box };
}

function boxBytes(content: number): number {
  return content + BOX_OVERHEAD_BYTES;
}

/** Views of these sizes, one behind the other; the last takes the rest, which is no shorter. */
function split<const Sizes extends readonly number[]>(
  command: string,
  data: Uint8Array,
  sizes: Sizes,
): { readonly [Index in keyof Sizes]: Uint8Array } {
  const least = sizes.reduce((sum, size) => sum + size, 0);
  if (data.length < least) {
    throw new TransportError("protocol", `${command} of CURVE with ${data.length} of ${least} bytes; check the peer`);
  }
  let offset = 0;
  const parts = sizes.map((size, i) => {
    const start = offset;
    offset += size;
    return data.subarray(start, i + 1 < sizes.length ? offset : undefined);
  });
  return parts as { [Index in keyof Sizes]: Uint8Array };
}
