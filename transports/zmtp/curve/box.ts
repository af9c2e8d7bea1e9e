import { randomBytes } from "node:crypto";
import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { TransportError } from "../../../src/errors.ts";
import { writeUint32 } from "../wire.ts";

/** Bytes by which a box is longer than what is in it: its authenticator. */
export const BOX_OVERHEAD_BYTES = 16;

/** Bytes of a nonce: a prefix of 16 that names what the box is for, and a count; or a prefix of 8, and 16 at random. */
export const NONCE_BYTES = 24;
export const SHORT_NONCE_BYTES = 8;
export const LONG_NONCE_BYTES = 16;

/** What the two sides seal and open boxes with once they share a key: `crypto_secretbox` of NaCl. */
export interface Secretbox {
  /** The authenticator and the ciphertext. */
  seal(message: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array;
  /** The message, in memory of its own. Throws when the box was not sealed with this key and nonce. */
  open(box: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array;
}

/** In plain JavaScript. */
export const nobleSecretbox: Secretbox = {
  seal: (message, nonce, key) => xsalsa20poly1305(key, nonce).encrypt(message),
  open: (box, nonce, key) => xsalsa20poly1305(key, nonce).decrypt(box),
};

/** The 24 bytes of a nonce: its ASCII prefix and the rest of it. */
export function nonce(prefix: string, rest: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(NONCE_BYTES);
  bytes.set(Buffer.from(prefix, "latin1"));
  bytes.set(rest, prefix.length);
  return bytes;
}

/** The rest of a nonce that counts. */
export function shortNonce(count: number): Uint8Array {
  const bytes = new Uint8Array(SHORT_NONCE_BYTES);
  writeUint32(bytes, 4, count);
  return bytes;
}

/** The rest of a nonce that is met by chance alone. */
export function longNonce(): Uint8Array {
  return randomBytes(LONG_NONCE_BYTES);
}

/** Opens a box of the handshake. Throws TransportError `authentication` with `refusal` as its message. */
export function openOrRefuse(
  secretbox: Secretbox,
  box: Uint8Array,
  boxNonce: Uint8Array,
  key: Uint8Array,
  refusal: string,
): Uint8Array {
  try {
    return secretbox.open(box, boxNonce, key);
  } catch {
    throw new TransportError("authentication", refusal);
  }
}
