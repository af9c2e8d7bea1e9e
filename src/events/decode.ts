import { Decoder } from "@msgpack/msgpack";
import { DecodeError } from "../errors.ts";
import { decodeEvent } from "./decode-event.ts";
import type { EventBatch, KVEvent } from "./event.ts";
import { MessagePackCursor } from "./message-pack-cursor.ts";
import { shorten } from "./shorten.ts";

/** A batch as far as it could be read. */
export interface DecodedBatch {
  /** The events that could be read, in order. */
  readonly batch: EventBatch;
  /** One for each event that could not, in order; `event-type` or `event-fields`. */
  readonly errors: readonly DecodeError[];
}

/** An event costs an object and its arrays; one that cannot be read costs an error with its stack. */
const EVENT_BYTES = 1024;
/** Each costs some 8 µs, most of it for its stack: a payload of bad events must not hold up the other streams. */
const MAX_ERRORS = 10_000;

const decoder = new Decoder({ useBigInt64: true });

/**
 * Reads what one message carries, in every encoding that engines use: the batch as an array `[ts, events, rank?, …]` or
 * as a map, each event as an array with its type first or as a map with a `type` (vLLM `vllm/distributed/kv_events.py`,
 * SGLang `srt/disaggregation/kv_events.py`). An event that cannot be read costs itself alone.
 *
 * Binary values within `extraKeys` are views of the payload: copy what is kept for long.
 *
 * @throws DecodeError `msgpack` where the payload is cut off, followed by more bytes or no MessagePack; `batch` where it
 *   is no batch of events, one that would take hundreds of megabytes, or one with over 10,000 events that cannot be read.
 */
export function decodeEventBatch(payload: Uint8Array): DecodedBatch {
  const cursor = new MessagePackCursor(payload);
  const envelope = new Envelope();
  const entries = cursor.readArrayHeader();
  if (entries >= 0) {
    for (let index = 0; index < entries; index++) envelope.read(ENVELOPE_FIELDS[index], cursor);
  } else {
    const pairs = cursor.readMapHeader();
    if (pairs < 0) throw new DecodeError("batch", `payload is ${quote(cursor.skip())}; expected an array or a map`);
    for (let index = 0; index < pairs; index++) envelope.read(readKey(cursor), cursor);
  }
  if (cursor.position < payload.length) {
    throw new DecodeError("msgpack", `payload of ${payload.length} bytes ends its batch after ${cursor.position}`);
  }
  return envelope.finish();
}

const ENVELOPE_FIELDS: readonly string[] = ["ts", "events", "data_parallel_rank"];

/** Gathers the fields of a batch, which come in any order where it is a map. */
class Envelope {
  #ts: number | undefined;
  #rank: number | null = null;
  #events: KVEvent[] | undefined;
  #errors: DecodeError[] = [];

  read(field: string | undefined, cursor: MessagePackCursor): void {
    if (field === "events") this.#readEvents(cursor);
    else if (field === "ts") this.#ts = readNumber(cursor, "ts", "a number of seconds");
    else if (field === "data_parallel_rank") this.#rank = readRank(cursor);
    else cursor.skip();
  }

  finish(): DecodedBatch {
    if (this.#ts === undefined || this.#events === undefined) {
      const missing = this.#ts === undefined ? "ts" : "events";
      throw new DecodeError("batch", `batch has no ${missing}; expected [ts, events, data_parallel_rank?]`);
    }
    return { batch: { ts: this.#ts, events: this.#events, dataParallelRank: this.#rank }, errors: this.#errors };
  }

  #readEvents(cursor: MessagePackCursor): void {
    const count = cursor.readArrayHeader();
    if (count < 0) throw new DecodeError("batch", `events is ${quote(cursor.skip())}; expected an array`);
    this.#events = [];
    this.#errors = [];
    for (let index = 0; index < count; index++) {
      cursor.charge(EVENT_BYTES);
      const bytes = cursor.skip();
      try {
        this.#events.push(decodeEvent(bytes, index, cursor));
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        if (this.#errors.push(error) > MAX_ERRORS) throw tooManyErrors(count, error);
      }
    }
  }
}

function tooManyErrors(count: number, cause: DecodeError): DecodeError {
  const problem = `more than ${MAX_ERRORS} of the batch's ${count} events cannot be read, the last because ${cause.message}`;
  return new DecodeError("batch", `${problem}; check who publishes there`, { cause });
}

function readKey(cursor: MessagePackCursor): string | undefined {
  const key = scalar(cursor.skip());
  return typeof key === "string" ? key : undefined;
}

function readNumber(cursor: MessagePackCursor, field: string, expected: string): number {
  const bytes = cursor.skip();
  const value = scalar(bytes);
  if (typeof value === "number" || typeof value === "bigint") return Number(value);
  throw new DecodeError("batch", `${field} is ${quote(bytes)}; expected ${expected}`);
}

function readRank(cursor: MessagePackCursor): number | null {
  if (cursor.bytes[cursor.position] === 0xc0) {
    cursor.skip();
    return null;
  }
  const expected = "a rank from 0, or nil";
  const rank = readNumber(cursor, "data_parallel_rank", expected);
  if (cursor.hasFloat || !Number.isSafeInteger(rank) || rank < 0) {
    throw new DecodeError("batch", `data_parallel_rank is ${rank}; expected ${expected}`);
  }
  return rank;
}

/** The value, where it is none that holds others; those are `undefined`. */
function scalar(bytes: Uint8Array): unknown {
  const head = bytes[0]!;
  const isContainer = (head >= 0x80 && head < 0xa0) || (head >= 0xdc && head <= 0xdf);
  const isExtension = (head >= 0xd4 && head <= 0xd8) || (head >= 0xc7 && head <= 0xc9);
  return isContainer || isExtension ? undefined : decoder.decode(bytes);
}

function quote(bytes: Uint8Array): string {
  const value = scalar(bytes);
  return value === undefined ? `a value of ${bytes.length} bytes (0x${bytes[0]!.toString(16)} …)` : shorten(value);
}
