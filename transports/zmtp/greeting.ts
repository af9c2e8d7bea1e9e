import { TransportError } from "../../src/errors.ts";
import { latin1, printable } from "./wire.ts";

/** Bytes of a greeting (RFC 23, section "The Greeting"). */
export const GREETING_BYTES = 64;

const SIGNATURE_END = 9;
const MAJOR = 10;
const MINOR = 11;
const MECHANISM = 12;
const AS_SERVER = 32;

/** What a peer said of itself before any security. */
export interface Greeting {
  readonly major: number;
  readonly minor: number;
  /** Of the 20 bytes, what stands before the padding. */
  readonly mechanism: string;
}

/** The greeting of version 3.1: 64 bytes, to be sent whole and at once. */
export function encodeGreeting(mechanism: string, asServer: boolean): Uint8Array {
  const bytes = new Uint8Array(GREETING_BYTES);
  bytes[0] = 0xff;
  bytes[SIGNATURE_END] = 0x7f;
  bytes[MAJOR] = 3;
  bytes[MINOR] = 1;
  bytes.set(Buffer.from(mechanism, "latin1"), MECHANISM);
  bytes[AS_SERVER] = asServer ? 1 : 0;
  return bytes;
}

/**
 * Looks at as much of a greeting as has come and throws `protocol` at the first byte that no ZMTP 3 peer sends, so
 * that a web server or an old ZeroMQ is known at once and not by a time-out. Padding is not looked at.
 */
export function checkGreeting(bytes: Uint8Array): void {
  if (bytes.length > 0 && bytes[0] !== 0xff) {
    const start = printable(latin1(bytes.subarray(0, 16)));
    throw new TransportError("protocol", `the peer does not speak ZMTP: it begins with "${start}"; check the port`);
  }
  if (bytes.length > SIGNATURE_END && bytes[SIGNATURE_END] !== 0x7f) {
    throw new TransportError("protocol", "the peer's greeting has no ZMTP signature; ZMTP 3.0 or later is needed");
  }
  if (bytes.length > MAJOR && bytes[MAJOR]! < 3) {
    // ZMTP 2.0 announces itself as revision 1 here, and 2.1 as 2.
    throw new TransportError("protocol", `the peer speaks ZMTP revision ${bytes[MAJOR]}; 3.0 or later is needed`);
  }
}

/** Reads the whole greeting. Throws `protocol` as `checkGreeting` does, and for a mechanism that is not padded with zeros. */
export function parseGreeting(bytes: Uint8Array): Greeting {
  checkGreeting(bytes);
  const field = bytes.subarray(MECHANISM, AS_SERVER);
  const end = field.indexOf(0);
  const mechanism = latin1(end < 0 ? field : field.subarray(0, end));
  if (end >= 0 && field.subarray(end).some((byte) => byte !== 0)) {
    throw new TransportError("protocol", `malformed mechanism "${printable(mechanism)}" in the peer's greeting`);
  }
  return { major: bytes[MAJOR]!, minor: bytes[MINOR]!, mechanism };
}
