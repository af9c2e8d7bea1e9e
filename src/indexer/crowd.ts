import type { Holdings } from "./holdings.ts";

/** What a crowd takes beside its arrays, on the heap and for each array: measured on Node 20, and more on Node 24. */
const OBJECT_BYTES = Number.parseInt(process.versions.node, 10) >= 24 ? 1_385 : 780;
const FIRST_HEADS = 32;

/** What a crowd, or one more holder in it, takes at most, where sources have numbers below this one. */
export function mostCrowdBytes(numbers: number): number {
  const words = (numbers >>> 5) + 1;
  return OBJECT_BYTES + 4 * Math.max(FIRST_HEADS, 2 * numbers) + 8 * 2 * words;
}

/**
 * The holders of a block that many hold, as bits, so that a match counts them 32 at a time: who holds it, and who holds
 * it plainly (under one name, on the GPU). `heads` has for each source one of its holdings of the block, by the source's
 * number in ascending order; further names of the same source follow by `next`, the newest first.
 */
export class Crowd {
  readonly #holdings: Holdings;
  /** One bit for each source by its number: who holds the block plainly, and who otherwise. Of the same length. */
  plain: Uint32Array = new Uint32Array(0);
  odd: Uint32Array = new Uint32Array(0);
  #heads: Uint32Array = new Uint32Array(FIRST_HEADS);
  #size = 0;

  constructor(holdings: Holdings) {
    this.#holdings = holdings;
  }

  /** Sources. */
  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return OBJECT_BYTES + 2 * this.plain.byteLength + this.#heads.byteLength;
  }

  /** The newest name of each source, by the source's number in ascending order. */
  get heads(): Uint32Array {
    return this.#heads.subarray(0, this.#size);
  }

  /** The source's newest name for the block; 0 where it does not hold it. */
  head(source: number): number {
    const at = this.#find(source);
    const head = at < this.#size ? this.#heads[at]! : 0;
    return head !== 0 && this.#holdings.source(head) === source ? head : 0;
  }

  add(source: number, holding: number): void {
    const at = this.#find(source);
    const head = at < this.#size ? this.#heads[at]! : 0;
    if (head !== 0 && this.#holdings.source(head) === source) {
      this.#holdings.setNext(holding, head);
      this.#heads[at] = holding;
      return;
    }
    this.#holdings.setNext(holding, 0);
    if (this.#size === this.#heads.length) this.#widen();
    this.#heads.copyWithin(at + 1, at, this.#size);
    this.#heads[at] = holding;
    this.#size++;
  }

  remove(source: number, holding: number): void {
    const at = this.#find(source);
    const next = this.#holdings.next(holding);
    const head = this.#heads[at]!;
    if (head !== holding) {
      let before = head;
      while (this.#holdings.next(before) !== holding) before = this.#holdings.next(before);
      this.#holdings.setNext(before, next);
    } else if (next !== 0) {
      this.#heads[at] = next;
    } else {
      this.#heads.copyWithin(at, at + 1, this.#size);
      this.#size--;
    }
  }

  /** To be called after each change of a source's names or places. */
  mark(source: number, isHolder: boolean, isPlain: boolean): void {
    const word = source >>> 5;
    if (word >= this.plain.length) {
      const words = Math.max(word + 1, Math.min(256, 2 * this.plain.length));
      this.plain = widened(this.plain, words);
      this.odd = widened(this.odd, words);
    }
    const bit = 1 << (source & 31);
    this.plain[word]! &= ~bit;
    this.odd[word]! &= ~bit;
    if (isHolder) (isPlain ? this.plain : this.odd)[word]! |= bit;
  }

  /** Whether the same sources are in both, and hold this one's block plainly. */
  isLike(other: Crowd): boolean {
    const { plain, odd } = this;
    if (this.#size !== other.#size) return false;
    let difference = 0;
    for (let word = 0; word < plain.length; word++) {
      difference |= odd[word]! | (plain[word]! ^ ((other.plain[word] ?? 0) | (other.odd[word] ?? 0)));
    }
    return difference === 0;
  }

  /** Where the source stands, or would stand. */
  #find(source: number): number {
    let low = 0;
    let high = this.#size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#holdings.source(this.#heads[middle]!) < source) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #widen(): void {
    this.#heads = widened(this.#heads, 2 * this.#heads.length);
  }
}

function widened(words: Uint32Array, length: number): Uint32Array {
  const wider = new Uint32Array(length);
  wider.set(words);
  return wider;
}
