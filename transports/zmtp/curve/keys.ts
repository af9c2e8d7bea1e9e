import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import { hsalsa } from "@noble/ciphers/salsa.js";
import { TransportError } from "../../../src/errors.ts";
import { copyOf } from "../wire.ts";
import { encodeZ85 } from "../z85.ts";

/** Bytes of every key: public, secret or shared. */
export const KEY_BYTES = 32;

/** Both halves of a Curve25519 key. The secret one is opaque: it shows itself to no `inspect`. */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: KeyObject;
}

/** What a PKCS #8 file of X25519 (RFC 8410) says before the 32 bytes of the secret key. */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b656e04220420", "hex");

/** Makes a pair whose public half comes as DER, of which the key is the end; the types only know both halves alike. */
const generate = generateKeyPairSync as unknown as (
  type: "x25519",
  options: { readonly publicKeyEncoding: { readonly type: "spki"; readonly format: "der" } },
) => { readonly publicKey: Uint8Array; readonly privateKey: KeyObject };

/** What salsa20 calls sigma. */
const SIGMA = words(Buffer.from("expand 32-byte k"));
const NO_NONCE = new Uint32Array(4);

/**
 * A new pair, for one connection or for as long as a client without a name lives. It is never exported: in Node 20 a
 * garbage collection during `export` may destroy the job that made the pair, which waits for ever for the lock that
 * `export` holds.
 */
export function newKeyPair(): KeyPair {
  const { publicKey, privateKey } = generate("x25519", { publicKeyEncoding: { type: "spki", format: "der" } });
  return { publicKey: copyOf(publicKey, publicKey.length - KEY_BYTES), secretKey: privateKey };
}

/** The pair that belongs to 32 secret bytes. */
export function keyPairOf(secret: Uint8Array): KeyPair {
  const secretKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, secret]), format: "der", type: "pkcs8" });
  return { publicKey: publicBytes(secretKey), secretKey };
}

/**
 * The key that the owners of two pairs share: X25519, then HSalsa20, which is what NaCl calls `crypto_box_beforenm`.
 * Throws TransportError `authentication` for a public key that gives everybody the same.
 */
export function sharedKey(secretKey: KeyObject, publicKey: Uint8Array): Uint8Array {
  const x = Buffer.from(publicKey).toString("base64url");
  const theirs = createPublicKey({ key: { kty: "OKP", crv: "X25519", x }, format: "jwk" });
  const key = new Uint32Array(KEY_BYTES / 4);
  try {
    hsalsa(SIGMA, words(diffieHellman({ privateKey: secretKey, publicKey: theirs })), NO_NONCE, key);
  } catch {
    throw new TransportError("authentication", "the peer's public key is of low order; no secret comes of it");
  }
  return new Uint8Array(key.buffer);
}

/** A new pair for a server or a client of CURVE, each half as 40 characters of Z85, as libzmq's `zmq_curve_keypair`. */
export function generateCurveKeys(): { readonly publicKey: string; readonly secretKey: string } {
  const secret = randomBytes(KEY_BYTES);
  return { publicKey: encodeZ85(keyPairOf(secret).publicKey), secretKey: encodeZ85(secret) };
}

function publicBytes(secretKey: KeyObject): Uint8Array {
  return Buffer.from(createPublicKey(secretKey).export({ format: "jwk" }).x!, "base64url");
}

/** A copy as 32-bit words in the machine's order, as noble takes them. */
function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(new Uint8Array(bytes).buffer);
}
