/** What all connections together read in one turn of the event loop: some milliseconds of work. */
const TURN_BYTES = 524_288;

/** What a chunk costs beside its bytes, for the smallest one costs too. */
const CHUNK_BYTES = 4_096;

/** Connections that may read again in each turn, unless fewer have just filled one. */
const MOST_RELEASED = 8;

/** A connection, as far as it reads. */
export interface Reader {
  /** Reads nothing until it is released, unless it begins anew by itself: that it says with `add`. */
  hold(): void;
  release(): void;
}

/**
 * Divides the reads of all connections among the turns of the event loop. When a thousand sockets are readable at once,
 * the system's answer names them all, and each would be read and parsed before a timer or a question has its turn.
 */
export class ReadTurns {
  /** Those that may read, and whether they have since they were allowed to. */
  readonly #reading = new Map<Reader, boolean>();
  /** The one that is to be released first comes first. */
  #held = new Set<Reader>();
  /** In this turn. */
  #bytes = 0;
  #reads = 0;
  #isEnding = false;

  /** It may read from now on. */
  add(reader: Reader): void {
    this.#reading.set(reader, false);
  }

  /** It stopped reading by itself. */
  delete(reader: Reader): void {
    this.#reading.delete(reader);
    this.#held.delete(reader);
  }

  /** It has read a chunk of so many bytes. */
  read(reader: Reader, bytes: number): void {
    this.#bytes += bytes + CHUNK_BYTES;
    this.#reads++;
    if (this.#reading.has(reader)) this.#reading.set(reader, true);
    if (this.#bytes >= TURN_BYTES) this.#hold();
    this.#awaitEnd();
  }

  /** Those that did not come to read are the first to be released, and those that did the last. */
  #hold(): void {
    const unread: Reader[] = [];
    const read: Reader[] = [];
    for (const [reader, hasRead] of this.#reading) (hasRead ? read : unread).push(reader);
    this.#reading.clear();
    this.#held = new Set([...unread, ...this.#held, ...read]);
    for (const reader of unread) reader.hold();
    for (const reader of read) reader.hold();
  }

  /** Immediates come after the reads of a turn, and before those of the next. */
  #awaitEnd(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    setImmediate(() => {
      this.#isEnding = false;
      // Whoever is released and comes too late to read has to be held once more, which costs.
      const most = this.#bytes < TURN_BYTES ? MOST_RELEASED : Math.min(this.#reads, MOST_RELEASED);
      this.#bytes = 0;
      this.#reads = 0;
      this.#release(most);
      if (this.#held.size > 0) this.#awaitEnd();
    });
  }

  #release(most: number): void {
    let left = most;
    for (const reader of this.#held) {
      if (left-- === 0) return;
      this.#held.delete(reader);
      this.#reading.set(reader, false);
      reader.release();
    }
  }
}
