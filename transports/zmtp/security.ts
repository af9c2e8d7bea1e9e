import { ConfigurationError } from "../../src/errors.ts";
import type { Authenticate, CurveRequest, PlainRequest } from "./authentication.ts";
import { nobleSecretbox, type Secretbox } from "./curve/box.ts";
import { curveClient } from "./curve/client.ts";
import { KEY_BYTES, keyPairOf, newKeyPair } from "./curve/keys.ts";
import { curveServer } from "./curve/server.ts";
import type { MechanismFactory } from "./mechanism.ts";
import { nullMechanism } from "./null.ts";
import { MAX_CREDENTIAL_BYTES, plainClient, plainServer } from "./plain.ts";
import { decodeZ85 } from "./z85.ts";

/** A Curve25519 key: 40 characters of Z85, or the 32 bytes that they stand for. */
export type CurveKey = string | Uint8Array;

/** Neither authentication nor encryption: for networks that are trusted as a whole. */
export interface NullSecurity {
  readonly mechanism: "NULL";
}

/** Shows a name and a password, which everybody on the way can read. At most 255 bytes each. */
export interface PlainClientSecurity {
  readonly mechanism: "PLAIN";
  readonly role: "client";
  readonly username: string;
  readonly password: string;
}

export interface PlainServerSecurity {
  readonly mechanism: "PLAIN";
  readonly role: "server";
  readonly authenticate: Authenticate<PlainRequest>;
}

/** Authenticated and encrypted, under keys that end with the connection. */
export interface CurveClientSecurity {
  readonly mechanism: "CURVE";
  readonly role: "client";
  /** The server's public key: who does not hold its secret half is not talked to. */
  readonly serverKey: CurveKey;
  /** @default new keys for this transport // a server without `authenticate` lets in every client */
  readonly secretKey?: CurveKey;
  /** @default plain JavaScript // with libsodium: `{ seal: sodium.crypto_secretbox_easy, open: sodium.crypto_secretbox_open_easy }` */
  readonly secretbox?: Secretbox;
}

export interface CurveServerSecurity {
  readonly mechanism: "CURVE";
  readonly role: "server";
  readonly secretKey: CurveKey;
  /** @default lets in every client that knows the server's public key */
  readonly authenticate?: Authenticate<CurveRequest>;
  /** As for a client. */
  readonly secretbox?: Secretbox;
}

/**
 * Which security mechanism all connections of a transport use, and on which side of it. The side has nothing to do
 * with who binds and who connects.
 */
export type ZmtpSecurity =
  | NullSecurity
  | PlainClientSecurity
  | PlainServerSecurity
  | CurveClientSecurity
  | CurveServerSecurity;

/**
 * The mechanism of each connection. Keys and passwords are known to it alone, and no error shows them.
 * Throws ConfigurationError `invalid-option`.
 */
export function resolveSecurity(security: ZmtpSecurity = { mechanism: "NULL" }): MechanismFactory {
  switch (security.mechanism) {
    case "NULL":
      return nullMechanism;
    case "PLAIN":
      return resolvePlain(security);
    case "CURVE":
      return resolveCurve(security);
    default:
      throw unknown("mechanism", (security as { readonly mechanism: unknown }).mechanism, "NULL, PLAIN or CURVE");
  }
}

function resolvePlain(security: PlainClientSecurity | PlainServerSecurity): MechanismFactory {
  switch (security.role) {
    case "client":
      return plainClient(credential("username", security.username), credential("password", security.password));
    case "server":
      return plainServer(callback(security.authenticate));
    default:
      throw unknown("role", (security as { readonly role: unknown }).role, "client or server");
  }
}

function resolveCurve(security: CurveClientSecurity | CurveServerSecurity): MechanismFactory {
  const { secretbox = nobleSecretbox } = security;
  switch (security.role) {
    case "client": {
      const { secretKey } = security;
      const keys = secretKey === undefined ? newKeyPair() : keyPairOf(key("secretKey", secretKey));
      return curveClient({ keys, serverKey: key("serverKey", security.serverKey), secretbox });
    }
    case "server": {
      const { authenticate } = security;
      return curveServer({
        keys: keyPairOf(key("secretKey", security.secretKey)),
        authenticate: authenticate === undefined ? null : callback(authenticate),
        secretbox,
      });
    }
    default:
      throw unknown("role", (security as { readonly role: unknown }).role, "client or server");
  }
}

/** A key's bytes, as a copy. The message tells what the value looks like, never the value: it may be the secret one. */
function key(option: string, value: CurveKey): Uint8Array {
  const bytes = typeof value === "string" ? decodeZ85(value) : value;
  if (bytes instanceof Uint8Array && bytes.length === KEY_BYTES) return new Uint8Array(bytes);
  throw invalid(option, `is ${shape(value)}; it has to be 40 characters of Z85 or ${KEY_BYTES} bytes`);
}

function credential(option: string, value: string): string {
  if (typeof value === "string" && Buffer.byteLength(value) <= MAX_CREDENTIAL_BYTES) return value;
  throw invalid(option, `is ${shape(value)}; it has to be a string of at most ${MAX_CREDENTIAL_BYTES} bytes`);
}

function callback<Callback>(value: Callback): Callback {
  if (typeof value === "function") return value;
  throw invalid("authenticate", `is ${shape(value)}; it has to be a function that tells who is let in`);
}

function shape(value: unknown): string {
  if (typeof value === "string") return `a string of ${value.length} characters (${Buffer.byteLength(value)} bytes)`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return value === undefined ? "missing" : `of type ${typeof value}`;
}

function unknown(option: string, value: unknown, choices: string): ConfigurationError {
  return invalid(option, `is ${JSON.stringify(value)}; it has to be ${choices}`);
}

function invalid(option: string, what: string): ConfigurationError {
  return new ConfigurationError("invalid-option", `zmtp: security.${option} ${what}`);
}
