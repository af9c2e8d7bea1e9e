import { DecodeError } from "../errors.ts";
import { decodeEvent } from "./decode-event.ts";
import type { KVEvent } from "./event.ts";
import { EventReader } from "./event-reader.ts";
import { MessagePackCursor } from "./message-pack-cursor.ts";
import { type PackedBatch, packEvent } from "./packed-batch.ts";
import { UsualEvent } from "./usual-event.ts";
import { wireName } from "./wire-names.ts";
import { MEMORY, MEMORY_VIEW, WireReader } from "./wire-reader.ts";

const OTHER = -1;
const NIL = 0xc0;
const FLOAT64 = 0xcb;
const ONE_EVENT = 0x91;
/** Where they begin in an array, behind its head and the time. */
const EVENTS_AT = 10;
// Named once more: a constant of another file is looked up each time.
const BYTES = MEMORY;
const VIEW = MEMORY_VIEW;

const EVENTS = wireName("events");
const RANK = wireName("data_parallel_rank");

/** More events of a payload that cannot be read are left to the oracle, which knows where to end it. */
const MAX_ERRORS = 64;

/**
 * Reads batches of the shapes that engines send, straight into a `PackedBatch`: the batch as an array or a map, events as
 * `EventReader` knows them, any other event by `decodeEvent`. A batch that is of no such shape, cut off, or as expensive as
 * a batch may be, is left to `decodeEventBatch`. It agrees with that, errors of single events included, wherever it
 * succeeds, and throws nothing itself.
 */
export class FastDecoder {
  readonly #reader = new WireReader();
  readonly #usual = new UsualEvent(this.#reader);
  readonly #events = new EventReader(this.#reader, this.#usual);
  /** Events of the payload decoded last that only `decodeEvent` could read, or refuse. */
  otherEvents = 0;

  /** False where the payload is not of a shape that is known here; the batch's content means nothing then. */
  decode(payload: Uint8Array, batch: PackedBatch): boolean {
    const reader = this.#reader;
    reader.load(payload);
    this.otherEvents = 0;
    if (reader.bytes === BYTES && BYTES[0] === 0x93 && BYTES[1] === FLOAT64 && BYTES[EVENTS_AT] === ONE_EVENT) {
      return this.#one(payload, batch) === reader.end;
    }
    const head = reader.bytes[0]!;
    let at = OTHER;
    if (head === 0x92 || head === 0x93) {
      at = reader.timestamp(1, batch);
      if (at !== OTHER) at = this.#readEvents(at, payload, batch);
      if (at !== OTHER && head === 0x93) at = this.#rank(at, batch);
    } else if (head === 0x82 || head === 0x83) at = this.#map(payload, batch, head & 0x0f);
    return at === reader.end;
  }

  /** A batch as nearly all are: an array with a time, one event and a rank; the same as below, without detours. */
  #one(payload: Uint8Array, batch: PackedBatch): number {
    batch.ts = VIEW.getFloat64(2);
    const start = EVENTS_AT + 1;
    let at = this.#usual.read(start, batch);
    if (at === OTHER) at = this.#unusual(start, payload, 0, 1, batch);
    if (at === OTHER) return OTHER;
    const rank = BYTES[at]!;
    if (rank >= 0x80) return this.#rank(at, batch);
    batch.dataParallelRank = rank;
    return at + 1;
  }

  #map(payload: Uint8Array, batch: PackedBatch, pairs: number): number {
    const reader = this.#reader;
    let seen = 0;
    let at = 1;
    for (let pair = 0; pair < pairs && at !== OTHER; pair++) {
      const field = isTs(reader, at) ? 1 : reader.isName(at, EVENTS) ? 2 : reader.isName(at, RANK) ? 4 : 0;
      if (field === 0 || (seen & field) !== 0) return OTHER;
      seen |= field;
      if (field === 1) at = reader.timestamp(at + 3, batch);
      else if (field === 2) at = this.#readEvents(at + EVENTS.length, payload, batch);
      else at = this.#rank(at + RANK.length, batch);
    }
    return (seen & 3) === 3 ? at : OTHER;
  }

  #rank(start: number, batch: PackedBatch): number {
    if (this.#reader.bytes[start] === NIL) return start + 1;
    const at = this.#reader.integer(start);
    batch.dataParallelRank = this.#reader.number;
    return at;
  }

  #readEvents(start: number, payload: Uint8Array, batch: PackedBatch): number {
    const usual = this.#usual;
    let at = this.#reader.arrayHead(start);
    const count = this.#reader.number;
    let index = 0;
    while (index < count && at !== OTHER) {
      const after = usual.read(at, batch);
      at = after === OTHER ? this.#unusual(at, payload, index, count - index, batch) : after;
      // One more, or a run of removals.
      index = batch.eventCount + batch.errors.length;
    }
    return at;
  }

  /** Reads the event that the `UsualEvent` could not read just now, and perhaps some that follow: `most` at most in all. */
  #unusual(start: number, payload: Uint8Array, index: number, most: number, batch: PackedBatch): number {
    const { tailAt } = this.#usual;
    const event = tailAt === OTHER ? undefined : batch.events[batch.eventCount - 1]!;
    const hashCount = event === undefined ? batch.hashCount : event.hashStart - 1;
    const tokenCount = event === undefined ? batch.tokenCount : event.tokenStart;
    const at = this.#events.read(start, batch, most);
    if (at !== OTHER) return at;
    batch.truncate(index - batch.errors.length, hashCount, tokenCount);
    return this.#otherEvent(start, payload, index, batch);
  }

  /** Reads an event as the oracle does, or refuses it with the oracle's words. */
  #otherEvent(start: number, payload: Uint8Array, index: number, batch: PackedBatch): number {
    this.otherEvents++;
    const cursor = new MessagePackCursor(payload);
    let event: KVEvent;
    try {
      cursor.position = start;
      cursor.charge(this.#reader.spent);
      const bytes = cursor.skip();
      event = decodeEvent(bytes, index, cursor);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const isOfEvent = error.code === "event-type" || error.code === "event-fields";
      if (!isOfEvent || batch.errors.length >= MAX_ERRORS) return OTHER;
      batch.errors.push(error);
      return this.#charged(cursor);
    }
    packEvent(batch, event);
    return this.#charged(cursor);
  }

  /** Position of the cursor, if what it has charged may be spent. */
  #charged(cursor: MessagePackCursor): number {
    const spent = this.#reader.spent;
    return this.#reader.spend(cursor.decodedBytes - spent) ? cursor.position : OTHER;
  }
}

/** Whether the name of the timestamp, `ts`, begins at `at`: three bytes with its head. */
function isTs({ bytes }: WireReader, at: number): boolean {
  return bytes[at] === 0xa2 && bytes[at + 1] === 0x74 && bytes[at + 2] === 0x73;
}
