import { createReadStream, createWriteStream, type WriteStream } from "node:fs";
import { stat, truncate } from "node:fs/promises";
import { KVEventSyncError } from "../errors.ts";
import { encodeRecord, MAGIC, type Recorded, RecordParser, type Stop } from "./format.ts";

/** What waits for the disk; beyond it records are dropped and counted: the streams must not wait for it. */
const MAX_WAITING_BYTES = 64 * 1_048_576;

/**
 * Appends records to a file. What is written is with the system at once and on the disk when the system writes it: a
 * process that is killed loses nothing, a machine that fails may lose the last seconds, which the next reader cuts.
 */
export class RecordingWriter implements AsyncDisposable {
  readonly #stream: WriteStream;
  #dropped = 0;
  #records = 0;
  #error: Error | null = null;

  private constructor(stream: WriteStream) {
    this.#stream = stream;
    stream.on("error", (error) => {
      this.#error = error;
    });
  }

  /**
   * Opens the file to go on after its last whole record; a torn tail is cut off.
   *
   * @throws KVEventSyncError `foreign-recording`, `corrupt-recording`; the system's errors.
   */
  static async open(path: string): Promise<RecordingWriter> {
    const size = await stat(path).then(
      ({ size }) => size,
      () => 0,
    );
    if (size > 0) {
      let stop: Stop | null = null;
      for await (const _record of readRecording(path, (found) => {
        stop = found;
      }));
      if (stop !== null) await truncate(path, (stop as Stop).offset + MAGIC.length);
    }
    const stream = createWriteStream(path, { flags: "a" });
    await new Promise<void>((resolve, reject) => stream.once("open", () => resolve()).once("error", reject));
    if (size === 0) stream.write(MAGIC);
    return new RecordingWriter(stream);
  }

  get records(): number {
    return this.#records;
  }

  /** Records that did not fit in memory while the disk was slow. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Does nothing once it is being disposed of: what is recorded ends when it can. */
  write(recorded: Recorded): void {
    if (this.#stream.writableEnded) return;
    if (this.#error !== null || this.#stream.writableLength > MAX_WAITING_BYTES) {
      this.#dropped++;
      return;
    }
    this.#records++;
    this.#stream.write(encodeRecord(recorded));
  }

  /** Resolves when all is written; rejects with what the system says. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#stream.closed) await new Promise<void>((resolve) => this.#stream.once("close", resolve).end());
    if (this.#error !== null) throw this.#error;
  }
}

/**
 * The records of a file, in order. `onStop` hears of a torn tail, which ends it.
 *
 * @throws KVEventSyncError `foreign-recording` for a file of something else, `corrupt-recording` with the offset where a
 *   record was changed; the system's errors.
 */
export async function* readRecording(path: string, onStop: (stop: Stop) => void = () => {}): AsyncGenerator<Recorded> {
  const parser = new RecordParser();
  let magic: Buffer | null = Buffer.alloc(0);
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let bytes: Buffer = chunk;
    if (magic !== null) {
      bytes = Buffer.concat([magic, chunk]);
      if (bytes.length < MAGIC.length) {
        magic = bytes;
        continue;
      }
      checkMagic(path, bytes);
      magic = null;
      bytes = bytes.subarray(MAGIC.length);
    }
    yield* parser.push(bytes);
  }
  if (magic !== null) checkMagic(path, magic);
  const stop = parser.stop();
  if (stop?.reason === "corrupt") {
    throw new KVEventSyncError(
      "corrupt-recording",
      `${path}: the record at byte ${stop.offset + MAGIC.length} was changed since it was written; what is before it can be had with head -c ${stop.offset + MAGIC.length}`,
    );
  }
  if (stop !== null) onStop(stop);
}

function checkMagic(path: string, bytes: Buffer): void {
  if (bytes.subarray(0, MAGIC.length).equals(MAGIC)) return;
  const found = JSON.stringify(bytes.subarray(0, MAGIC.length).toString("latin1"));
  throw new KVEventSyncError(
    "foreign-recording",
    `${path}: is no recording of this release, it begins with ${found}; name a file that kv-event-sync record wrote`,
  );
}
