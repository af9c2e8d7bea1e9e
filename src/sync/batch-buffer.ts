import { fingerprint } from "./fingerprint.ts";

/** A batch that waits for those before it. */
export interface WaitingBatch {
  readonly sequence: number;
  /** A copy: a view would keep the whole chunk that it came in. */
  readonly payload: Uint8Array;
  readonly print: number;
}

/** What a waiting batch takes besides its payload. */
const OVERHEAD_BYTES = 128;

/** Batches in the order of their sequences, each sequence once, up to a number of bytes. */
export class BatchBuffer {
  readonly #maxBytes: number;
  /** From `#head` on; what lies before was taken. */
  #batches: WaitingBatch[] = [];
  #head = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get first(): WaitingBatch | undefined {
    return this.#batches[this.#head];
  }

  get size(): number {
    return this.#batches.length - this.#head;
  }

  /** With 128 for what each batch takes besides its payload. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether one more of so many bytes keeps the bound. */
  hasRoom(payloadBytes: number): boolean {
    return this.#bytes + payloadBytes + OVERHEAD_BYTES <= this.#maxBytes;
  }

  /** Keeps a copy; `known` where the sequence is here already with the same content, `conflict` with another one. */
  add(sequence: number, payload: Uint8Array): "added" | "known" | "conflict" {
    const place = this.#placeOf(sequence);
    const present = this.#batches[place];
    const print = fingerprint(payload);
    if (present?.sequence === sequence) return present.print === print ? "known" : "conflict";
    const batch = { sequence, payload: new Uint8Array(payload), print };
    if (place === this.#batches.length) this.#batches.push(batch);
    else this.#batches.splice(place, 0, batch);
    this.#bytes += payload.length + OVERHEAD_BYTES;
    return "added";
  }

  /** Takes the first out. */
  shift(): WaitingBatch | undefined {
    const batch = this.#batches[this.#head];
    if (batch === undefined) return undefined;
    this.#head++;
    this.#bytes -= batch.payload.length + OVERHEAD_BYTES;
    if (this.#head === this.#batches.length || this.#head === 1_024) {
      this.#batches = this.#batches.slice(this.#head);
      this.#head = 0;
    }
    return batch;
  }

  clear(): void {
    this.#batches = [];
    this.#head = 0;
    this.#bytes = 0;
  }

  /** Of the first batch with this sequence or a higher one. */
  #placeOf(sequence: number): number {
    let low = this.#head;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#batches[middle]!.sequence < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
