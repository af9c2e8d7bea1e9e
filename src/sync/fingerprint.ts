/** Of either end of a payload. In every encoding the batch's time stamp lies within the first or the last bytes. */
const END_BYTES = 32;

/**
 * A number that tells apart what two processes published under one sequence: of the payload's length and its ends, with
 * the time stamp in microseconds among them. Cheap, for it is taken of every batch; no defence against forgery.
 */
export function fingerprint(payload: Uint8Array): number {
  const { length } = payload;
  let low = length | 0;
  let high = 0x9e3779b9 | 0;
  const head = Math.min(END_BYTES, length);
  for (let i = 0; i < head; i++) {
    low = Math.imul(low ^ payload[i]!, 0x01000193);
    high = Math.imul(high ^ low, 0x85ebca6b);
  }
  for (let i = Math.max(head, length - END_BYTES); i < length; i++) {
    low = Math.imul(low ^ payload[i]!, 0x01000193);
    high = Math.imul(high ^ low, 0x85ebca6b);
  }
  return (low >>> 0) * 0x20_0000 + ((high ^ (high >>> 15)) & 0x1f_ffff);
}

/** Fingerprints of the last batches of a stream, whose sequences have no hole. */
export class RecentFingerprints {
  readonly #ring: Float64Array;
  #first = 0;
  #next = 0;

  /** Remembers that many. */
  constructor(capacity: number) {
    this.#ring = new Float64Array(capacity);
  }

  /** Adds the batch after the last one, or begins anew with another sequence. */
  add(sequence: number, print: number): void {
    if (sequence !== this.#next) this.#first = sequence;
    this.#next = sequence + 1;
    this.#first = Math.max(this.#first, this.#next - this.#ring.length);
    this.#ring[sequence % this.#ring.length] = print;
  }

  /** `undefined` where the batch is not, or no longer, remembered. */
  get(sequence: number): number | undefined {
    return sequence >= this.#first && sequence < this.#next ? this.#ring[sequence % this.#ring.length] : undefined;
  }

  clear(): void {
    this.#first = 0;
    this.#next = 0;
  }
}
