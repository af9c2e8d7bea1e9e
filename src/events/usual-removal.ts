import { type PackedBatch, type PackedEvent, PackedType } from "./packed-batch.ts";
import { StoredTail } from "./stored-tail.ts";
import { wireRun } from "./wire-names.ts";
import { MEMORY, MEMORY_VIEW, type WireReader } from "./wire-reader.ts";

const OTHER = -1;
const UINT64 = 0xcf;
const ONE_HASH = 0x91;
/** Bytes of an array of one hash. */
const HASHES_LENGTH = 10;
// Named once more: a constant of another file is looked up each time.
const BYTES = MEMORY;
const VIEW = MEMORY_VIEW;

/** As in `EventReader` and `WireReader`. */
const COST = 4_096 + 144;

const MAP_FRONT = wireRun("type", "BlockRemoved", "block_hashes");
const ARRAY_FRONT = wireRun("BlockRemoved");

/**
 * Reads in one go a `BlockRemoved` as nearly all are: of one block, named by an integer of 64 bits, with its hash in front,
 * and behind that the same as the last one had there; and those that follow it, since a long prompt that makes room for
 * itself removes as many. One that is not so leaves nothing in the batch.
 */
export class UsualRemoval {
  readonly #reader: WireReader;
  readonly #tail = new StoredTail();
  #medium: string | null = null;
  #groupIdx: number | null = null;

  constructor(reader: WireReader) {
    this.#reader = reader;
  }

  /** Position behind the event and those like it that follow, `most` at most in all; `OTHER` if it is none. */
  read(start: number, batch: PackedBatch, most: number): number {
    const reader = this.#reader;
    const { end } = reader;
    const tail = this.#tail;
    let at = start;
    for (let left = most; left > 0; left--) {
      const hashesAt = this.#hashesAt(at);
      if (hashesAt === OTHER) break;
      const tailAt = hashesAt + HASHES_LENGTH;
      const after = tailAt + tail.length;
      if (after > end || !tail.isAt(tailAt, BYTES[at]!) || !reader.spend(COST)) break;
      batch.reserveHashes(1);
      const event = batch.nextEvent();
      event.type = PackedType.removed;
      event.hasParent = false;
      event.tokenCount = 0;
      event.medium = this.#medium;
      event.groupIdx = this.#groupIdx;
      event.hashStart = batch.hashCount++;
      event.hashCount = 1;
      batch.hashes[2 * event.hashStart + 1] = VIEW.getInt32(hashesAt + 2);
      batch.hashes[2 * event.hashStart] = VIEW.getInt32(hashesAt + 6);
      at = after;
    }
    return at === start ? OTHER : at;
  }

  /** Takes what stands behind the hash of the event between these positions, if that is in front, for the usual from now on. */
  learn(start: number, end: number, event: PackedEvent): void {
    const hashesAt = this.#hashesAt(start);
    if (hashesAt === OTHER) return;
    this.#tail.learn(hashesAt + HASHES_LENGTH, end, BYTES[start]!, 0, event);
    this.#medium = event.medium;
    this.#groupIdx = event.groupIdx;
  }

  /**
   * Where the array of hashes begins, if it has one of 64 bits and is in front; `OTHER` otherwise. Its comparison is that of
   * `UsualEvent`, which a function for both makes slower: by a tenth to a fifth for events of one block.
   */
  #hashesAt(start: number): number {
    if (this.#reader.bytes !== BYTES) return OTHER;
    const head = BYTES[start]!;
    let at = start + 1;
    if ((head & 0xf0) === 0x80) {
      if (
        VIEW.getFloat64(at, true) !== MAP_FRONT.double0 ||
        VIEW.getFloat64(at + MAP_FRONT.at1, true) !== MAP_FRONT.double1 ||
        VIEW.getFloat64(at + MAP_FRONT.at2, true) !== MAP_FRONT.double2 ||
        VIEW.getFloat64(at + MAP_FRONT.at3, true) !== MAP_FRONT.double3
      ) {
        return OTHER;
      }
      at += MAP_FRONT.length;
    } else {
      if (
        (head & 0xf0) !== 0x90 ||
        VIEW.getFloat64(at, true) !== ARRAY_FRONT.double0 ||
        VIEW.getFloat64(at + ARRAY_FRONT.at1, true) !== ARRAY_FRONT.double1
      ) {
        return OTHER;
      }
      at += ARRAY_FRONT.length;
    }
    return BYTES[at] === ONE_HASH && BYTES[at + 1] === UINT64 ? at : OTHER;
  }
}
