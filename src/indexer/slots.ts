/**
 * The slots of a segment (`Segments`): lines of eight, one for each line of the processor's cache. First come the marks of
 * the eight, then the numbers of their records, a word each.
 *
 * A mark is a hash with a bit set that no other word in its place has. A search begins at the line that the mark names, and
 * goes from line to line to the first with an empty slot, behind the last one with the first again.
 *
 * Of a line with an empty slot the empty ones are the last, and none is one that was removed.
 *
 * What `SimdSlots` does with many is, slot by slot, what is done here with one.
 */
export const LINE_SLOTS = 8;
export const LINE_WORDS = 16;
/** Of the smallest and of the largest segment. */
export const MIN_SEGMENT_SLOTS = 16;
export const MAX_SEGMENT_SLOTS = 256;

export const EMPTY = 0;
/** Was in use, in a line without an empty slot: searches go on behind it. */
const REMOVED = 1;
/** In the mark of a slot that is in use. */
const IN_USE = 2;

/** Of those from 2 on: the directory has the upper ones, and the lines of a segment are 32 at most. */
const LINE_BIT = 2;

/** What is put anew. */
const moved = new Int32Array(MAX_SEGMENT_SLOTS * 2);

export function markOf(hash: number): number {
  return hash | IN_USE;
}

/** Lines of so many slots, less 1. */
export function lineMask(slots: number): number {
  return slots / LINE_SLOTS - 1;
}

/** Where the line begins that a search looks at after so many steps. */
export function lineAt(segment: number, mask: number, mark: number, step: number): number {
  return segment + (((mark >>> LINE_BIT) + step) & mask) * LINE_WORDS;
}

/** Whether a search ends at this line. */
function isLast(data: Int32Array, line: number): boolean {
  return data[line + LINE_SLOTS - 1] === EMPTY;
}

/** False where there is no room in so many lines. */
export function place(
  data: Int32Array,
  segment: number,
  mask: number,
  mark: number,
  record: number,
  steps: number,
): boolean {
  for (let step = 0; step < steps && step <= mask; step++) {
    const first = lineAt(segment, mask, mark, step);
    for (let slot = first; slot < first + LINE_SLOTS; slot++) {
      if ((data[slot]! & IN_USE) !== 0) continue;
      data[slot] = mark;
      data[slot + LINE_SLOTS] = record;
      return true;
    }
  }
  return false;
}

/** False where it is not there. */
export function remove(data: Int32Array, segment: number, mask: number, mark: number, record: number): boolean {
  for (let step = 0; step <= mask; step++) {
    const first = lineAt(segment, mask, mark, step);
    for (let slot = first; slot < first + LINE_SLOTS; slot++) {
      if (data[slot] !== mark || data[slot + LINE_SLOTS] !== record) continue;
      if (isLast(data, first)) close(data, first, slot);
      else data[slot] = REMOVED;
      return true;
    }
    if (isLast(data, first)) return false;
  }
  return false;
}

/** Empties a slot of a line that has empty ones. */
function close(data: Int32Array, first: number, slot: number): void {
  let last = first + LINE_SLOTS - 1;
  while (data[last] === EMPTY) last--;
  data[slot] = data[last]!;
  data[slot + LINE_SLOTS] = data[last + LINE_SLOTS]!;
  data[last] = EMPTY;
}

/**
 * Puts what is in use in a segment anew: what has this bit in its mark into the other segment, which is empty, or the same
 * one. No removed slots are left.
 */
export function split(data: Int32Array, segment: number, other: number, mask: number, bit: number): void {
  const words = (mask + 1) * LINE_WORDS;
  moved.set(data.subarray(segment, segment + words));
  data.fill(EMPTY, segment, segment + words);
  putAll(data, moved, 0, words, segment, other, mask, bit);
}

/** Copies what is in use in a segment of so many slots to another one, which has room for it. */
export function copy(data: Int32Array, segment: number, slots: number, other: number, mask: number): void {
  putAll(data, data, segment, segment + 2 * slots, other, other, mask, 0);
}

function putAll(
  data: Int32Array,
  lines: Int32Array,
  from: number,
  to: number,
  segment: number,
  other: number,
  mask: number,
  bit: number,
): void {
  for (let line = from; line < to; line += LINE_WORDS) {
    for (let slot = line; slot < line + LINE_SLOTS; slot++) {
      const mark = lines[slot]!;
      if ((mark & IN_USE) === 0) continue;
      const target = ((mark >>> bit) & 1) === 1 ? other : segment;
      place(data, target, mask, mark, lines[slot + LINE_SLOTS]!, mask + 1);
    }
  }
}

/** Numbers of the records in a segment of so many slots; returns how many. */
export function list(data: Int32Array, segment: number, slots: number, into: Int32Array): number {
  let count = 0;
  for (let first = segment; first < segment + 2 * slots; first += LINE_WORDS) {
    for (let slot = first; slot < first + LINE_SLOTS; slot++) {
      if ((data[slot]! & IN_USE) !== 0) into[count++] = data[slot + LINE_SLOTS]!;
    }
  }
  return count;
}

export function countUsed(data: Int32Array, segment: number, slots: number): number {
  let count = 0;
  for (let first = segment; first < segment + 2 * slots; first += LINE_WORDS) {
    for (let slot = first; slot < first + LINE_SLOTS; slot++) if ((data[slot]! & IN_USE) !== 0) count++;
  }
  return count;
}

export function countRemoved(data: Int32Array, segment: number, slots: number): number {
  let count = 0;
  for (let first = segment; first < segment + 2 * slots; first += LINE_WORDS) {
    for (let slot = first; slot < first + LINE_SLOTS; slot++) if (data[slot] === REMOVED) count++;
  }
  return count;
}
