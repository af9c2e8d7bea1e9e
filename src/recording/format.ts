import { crc32 } from "node:zlib";
import type { Message } from "../transport.ts";

/**
 * A recording is a file of records, after eight bytes that name the format. A record is a head of 12 bytes (length of the
 * body, the same with all bits turned, CRC-32 of the body; little-endian) and its body: a byte for the kind, the socket's
 * number (4 bytes), milliseconds since 1970 (a double), and then JSON or, for messages, the connection's number (4
 * bytes) and frames: their number (2 bytes), and each with its length (4 bytes). The length stands twice so that a cut file and a changed one can be told apart.
 */
export const MAGIC: Uint8Array = new TextEncoder().encode("KVEVREC1");

const HEAD_BYTES = 12;
const BODY_HEAD_BYTES = 13;
/** Larger than the largest message that a transport takes by default, and its frames' lengths. */
const MAX_BODY_BYTES = 1_073_741_824;

/** What a record tells. */
export type RecordKind =
  /** A recording begins, or goes on: JSON with the release. */
  | "session"
  /** A pod was announced, changed or deleted: JSON `{ change, pod }`. */
  | "pod"
  /** A socket was made: JSON `{ type, endpoint }`. */
  | "socket"
  /** Its connection changed: JSON as `ConnectionState`, the cause as `{ code, message }`. */
  | "connection"
  /** It was sent these frames, or received them over that connection. */
  | "sent"
  | "received"
  /** It was closed: no JSON. */
  | "closed";

const KINDS: readonly RecordKind[] = ["session", "pod", "socket", "connection", "sent", "received", "closed"];

/** One thing that happened. */
export interface Recorded {
  readonly kind: RecordKind;
  /** 0 where it is of none. */
  readonly socket: number;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  /** Of `sent` and `received`. */
  readonly frames?: Message;
  /** Over which connection they came; 0 for `sent`. */
  readonly connection?: number;
  /** Of the others; `null` for none. */
  readonly json?: unknown;
}

/** The bytes of a record. */
export function encodeRecord({ kind, socket, timeMs, frames, connection = 0, json }: Recorded): Buffer {
  const content =
    frames === undefined ? [Buffer.from(json === undefined ? "" : JSON.stringify(json))] : framed(frames, connection);
  const head = Buffer.alloc(HEAD_BYTES + BODY_HEAD_BYTES);
  head.writeUInt8(KINDS.indexOf(kind), HEAD_BYTES);
  head.writeUInt32LE(socket, HEAD_BYTES + 1);
  head.writeDoubleLE(timeMs, HEAD_BYTES + 5);
  const record = Buffer.concat([head, ...content]);
  const length = record.length - HEAD_BYTES;
  record.writeUInt32LE(length, 0);
  record.writeUInt32LE(~length >>> 0, 4);
  record.writeUInt32LE(crc32(record.subarray(HEAD_BYTES)), 8);
  return record;
}

function framed(frames: Message, connection: number): Uint8Array[] {
  const head = Buffer.alloc(6);
  head.writeUInt32LE(connection);
  head.writeUInt16LE(frames.length, 4);
  return [head, ...frames.flatMap((frame) => [lengthOf(frame), frame])];
}

function lengthOf(frame: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(frame.length);
  return length;
}

/** Why reading stopped: `torn` where the bytes end within a record, `corrupt` where they are no record. */
export interface Stop {
  readonly reason: "torn" | "corrupt";
  /** Of the first byte that belongs to no whole record, from the first one pushed. */
  readonly offset: number;
}

/** Takes bytes in any pieces and gives the whole records in them. Pure: it knows no file. */
export class RecordParser {
  #rest: Buffer = Buffer.alloc(0);
  #offset = 0;
  #isCorrupt = false;

  /** The records that are whole now. Stops at what is none; `stop()` tells. */
  *push(bytes: Uint8Array): IterableIterator<Recorded> {
    if (this.#isCorrupt) return;
    let data = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const length = bodyLength(data);
      if (length === undefined || (length !== null && data.length < HEAD_BYTES + length)) break;
      const body = length === null ? null : data.subarray(HEAD_BYTES, HEAD_BYTES + length);
      const recorded = body === null || crc32(body) !== data.readUInt32LE(8) ? null : decodeBody(body);
      if (recorded === null) {
        this.#isCorrupt = true;
        break;
      }
      this.#offset += HEAD_BYTES + length!;
      data = data.subarray(HEAD_BYTES + length!);
      this.#rest = data;
      yield recorded;
    }
    this.#rest = data;
  }

  /** What is left over after all bytes; `null`: nothing. */
  stop(): Stop | null {
    if (this.#isCorrupt) return { reason: "corrupt", offset: this.#offset };
    return this.#rest.length === 0 ? null : { reason: "torn", offset: this.#offset };
  }
}

/** `undefined` where the head is not whole, `null` where it is none. */
function bodyLength(data: Buffer): number | null | undefined {
  if (data.length < HEAD_BYTES) return undefined;
  const length = data.readUInt32LE(0);
  const isHead = data.readUInt32LE(4) === ~length >>> 0 && length >= BODY_HEAD_BYTES && length <= MAX_BODY_BYTES;
  return isHead ? length : null;
}

function decodeBody(body: Buffer): Recorded | null {
  const kind = KINDS[body.readUInt8(0)];
  if (kind === undefined) return null;
  const common = { kind, socket: body.readUInt32LE(1), timeMs: body.readDoubleLE(5) };
  const content = body.subarray(BODY_HEAD_BYTES);
  if (kind !== "sent" && kind !== "received") {
    return content.length === 0 ? common : { ...common, json: JSON.parse(content.toString("utf8")) as unknown };
  }
  const frames: Buffer[] = [];
  let at = 6;
  for (let left = content.readUInt16LE(4); left > 0; left--) {
    const length = content.readUInt32LE(at);
    // A copy: what is kept must not keep the chunk that it came in.
    frames.push(Buffer.from(content.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return { ...common, frames, connection: content.readUInt32LE(0) };
}
