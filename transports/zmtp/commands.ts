import { TransportError } from "../../src/errors.ts";
import { EMPTY, latin1, printable, readUint32, writeUint32 } from "./wire.ts";

/** A ZMTP command (RFC 23): its name and what follows it. */
export interface Command {
  readonly name: string;
  readonly data: Uint8Array;
}

/** Properties of READY and INITIATE. Names are in lower case, for the RFC compares them without case. */
export type Metadata = ReadonlyMap<string, Uint8Array>;

/** RFC 37: a PONG echoes at most this much of the PING's context. */
const MAX_PING_CONTEXT_BYTES = 16;

/** The body of a command frame: length of the name, name, data. */
export function commandBody(name: string, data: Uint8Array): Uint8Array {
  const body = new Uint8Array(1 + name.length + data.length);
  body[0] = name.length;
  for (let i = 0; i < name.length; i += 1) body[i + 1] = name.charCodeAt(i);
  body.set(data, 1 + name.length);
  return body;
}

/** What the PLAIN server of libzmq 4.3 sends for `\x05ERROR`: C reads `\x5E` where `\x5` and `E` were meant. */
const MISSPELT_ERROR = Buffer.from("^RROR", "latin1");

/** Reads a command's body; `data` is a view into it. Throws `protocol`. */
export function parseCommand(body: Uint8Array): Command {
  if (MISSPELT_ERROR.equals(body.subarray(0, MISSPELT_ERROR.length))) {
    return { name: "ERROR", data: body.subarray(MISSPELT_ERROR.length) };
  }
  const length = body[0];
  if (length === undefined || length === 0 || 1 + length > body.length) {
    throw new TransportError("protocol", `malformed command of ${body.length} bytes`);
  }
  return { name: latin1(body.subarray(1, 1 + length)), data: body.subarray(1 + length) };
}

/** The data of READY or INITIATE. Property names are sent as given. */
export function encodeMetadata(properties: readonly (readonly [name: string, value: Uint8Array])[]): Uint8Array {
  const size = properties.reduce((sum, [name, value]) => sum + 1 + name.length + 4 + value.length, 0);
  const data = new Uint8Array(size);
  let offset = 0;
  for (const [name, value] of properties) {
    data[offset] = name.length;
    data.set(Buffer.from(name, "latin1"), offset + 1);
    offset += 1 + name.length;
    writeUint32(data, offset, value.length);
    data.set(value, offset + 4);
    offset += 4 + value.length;
  }
  return data;
}

/** Reads the data of READY or INITIATE; values are views. Throws `protocol` for anything truncated, empty or double. */
export function parseMetadata(data: Uint8Array): Metadata {
  const properties = new Map<string, Uint8Array>();
  let offset = 0;
  while (offset < data.length) {
    const valueAt = offset + 1 + data[offset]! + 4;
    if (data[offset] === 0) throw malformed("a property without a name");
    if (valueAt > data.length) throw malformed("a truncated property");
    const name = latin1(data.subarray(offset + 1, valueAt - 4));
    const size = readUint32(data, valueAt - 4);
    if (size > data.length - valueAt) throw malformed(`a truncated value of property "${printable(name)}"`);
    const key = name.toLowerCase();
    if (properties.has(key)) throw malformed(`property "${printable(name)}" twice`);
    properties.set(key, data.subarray(valueAt, valueAt + size));
    offset = valueAt + size;
  }
  return properties;
}

/** The body of a PING without a TTL: we may fall silent while reading is paused, and a TTL would then cut us off. */
export function pingBody(): Uint8Array {
  return commandBody("PING", new Uint8Array(2));
}

/** `ttlMs` is 0 when the peer set no limit. Throws `protocol` when the TTL is cut off. */
export function parsePing(data: Uint8Array): { readonly ttlMs: number; readonly pong: Uint8Array } {
  if (data.length < 2) throw new TransportError("protocol", `malformed PING of ${data.length} bytes of data`);
  const ttlMs = ((data[0]! << 8) | data[1]!) * 100;
  return { ttlMs, pong: commandBody("PONG", data.subarray(2, 2 + MAX_PING_CONTEXT_BYTES)) };
}

/** The body of an ERROR. The reason has at most 255 characters of ASCII. */
export function errorBody(reason: string): Uint8Array {
  return commandBody("ERROR", Buffer.concat([Buffer.of(reason.length), Buffer.from(reason, "latin1")]));
}

/** Reads an ERROR's reason, made printable. A missing reason is an empty one. */
export function parseError(data: Uint8Array): string {
  const length = Math.min(data[0] ?? 0, data.length - 1);
  return length <= 0 ? "" : printable(latin1(data.subarray(1, 1 + length)));
}

/** The body of the message by which a peer of ZMTP 3.0 is told of a topic. */
export function subscriptionMessage(topic: Uint8Array, subscribe: boolean): Uint8Array {
  const body = new Uint8Array(1 + topic.length);
  body[0] = subscribe ? 1 : 0;
  body.set(topic, 1);
  return body;
}

/** A subscription sent as a message: one frame that begins with 1 or 0. `null` for any other message. */
export function parseSubscriptionMessage(
  message: readonly Uint8Array[],
): { readonly topic: Uint8Array; readonly subscribe: boolean } | null {
  const frame = message.length === 1 ? message[0]! : EMPTY;
  return frame[0] === 1 || frame[0] === 0 ? { topic: frame.subarray(1), subscribe: frame[0] === 1 } : null;
}

function malformed(what: string): TransportError {
  return new TransportError("protocol", `malformed metadata: ${what}`);
}
