import { decodeEventBatch } from "../../src/events/decode.ts";
import { encodeEventBatch } from "../../src/events/encode.ts";
import type { BlockRemoved, BlockStored } from "../../src/events/event.ts";
import { BLOCK_SIZE, type PodMessage, TIMESTAMP, type Workload } from "./workload.ts";

/** First bytes of a workload file. */
const MAGIC = "KVWORK02";

type BlockEvent = BlockStored | BlockRemoved;

const STORED = 0;
const REMOVED = 1;

/** One event as numbers. */
export interface FileEvent {
  readonly type: typeof STORED | typeof REMOVED;
  readonly parent: bigint | null;
  /** Unsigned, 64 bits. */
  readonly hashes: readonly bigint[];
  /** None of a removal. */
  readonly tokens: Uint32Array;
}

/** One message as a file has it: the bytes that the engine sends, and its events as numbers. */
export interface FileMessage {
  /** Index in the workload's pods. */
  readonly pod: number;
  readonly payload: Uint8Array;
  readonly events: readonly FileEvent[];
}

/** A prompt, and how many blocks of it the pod with the most has: which questions are worth timing. */
export interface FileQuestion {
  readonly tokens: Uint32Array;
  readonly deepestBlocks: number;
}

/** What the peers are told: no answers. */
export interface FileWorkload {
  readonly blockSize: number;
  readonly pods: readonly string[];
  readonly messages: Iterable<FileMessage>;
  readonly questions: readonly FileQuestion[];
}

/** The part of a workload that a file has, its messages in the form of arrays: the peers read no other. */
export function fileWorkload({ pods, messages, questions }: Workload): FileWorkload {
  return {
    blockSize: BLOCK_SIZE,
    pods,
    messages: fileMessages(messages),
    questions: questions.map(({ tokens, blocksByPod }) => ({
      tokens,
      deepestBlocks: Math.max(0, ...blocksByPod.values()),
    })),
  };
}

function* fileMessages(messages: readonly PodMessage[]): Generator<FileMessage> {
  for (const { pod, payload } of messages) {
    yield { pod, payload: asArrays(payload), events: eventsOf(payload).map(fileEvent) };
  }
}

function fileEvent(event: BlockEvent): FileEvent {
  const { blockHashes: hashes } = event;
  if (event.type === "BlockRemoved") return { type: REMOVED, parent: null, hashes, tokens: new Uint32Array() };
  return { type: STORED, parent: event.parentBlockHash, hashes, tokens: event.tokenIds };
}

/**
 * The same message with its events as arrays, as vLLM sent them before they were maps, and with no more entries than llm-d
 * takes: it refuses arrays that are longer than it knows.
 */
export function asArrays(payload: Uint8Array): Uint8Array {
  const batch = { ts: TIMESTAMP, events: eventsOf(payload), dataParallelRank: 0 };
  return encodeEventBatch(batch, { encoding: "array", storedEntries: 7 });
}

/** The events of a message of a workload. */
export function eventsOf(payload: Uint8Array): BlockEvent[] {
  return decodeEventBatch(payload).batch.events.map((event) => {
    if (event.type === "AllBlocksCleared") throw new Error("an event without blocks");
    return event;
  });
}

/**
 * The workload in one piece, all numbers little-endian:
 *
 * - `KVWORK02`, u32 block size, u32 pods, u32 messages, u32 questions;
 * - each pod: its name as bytes;
 * - each message: u32 pod, the payload as bytes, u32 events;
 * - each event of it: u32 type (0 stored, 1 removed), u32 whether there is a parent, u64 parent, u32 hashes, u64 each, u32
 *   tokens, u32 each;
 * - each question: u32 blocks of the pod with the most, u32 tokens, u32 each.
 *
 * Bytes are a u32 length and as many bytes.
 */
export function encodeWorkload({ blockSize, pods, messages, questions }: FileWorkload): Uint8Array {
  const writer = new Writer();
  writer.raw(Buffer.from(MAGIC));
  writer.u32(blockSize);
  writer.u32(pods.length);
  const countAt = writer.u32(0);
  writer.u32(questions.length);
  for (const pod of pods) writer.bytes(Buffer.from(pod));
  let count = 0;
  for (const { pod, payload, events } of messages) {
    count++;
    writer.u32(pod);
    writer.bytes(payload);
    writer.u32(events.length);
    for (const event of events) writeEvent(writer, event);
  }
  for (const { tokens, deepestBlocks } of questions) {
    writer.u32(deepestBlocks);
    writer.words(tokens);
  }
  return writer.done(countAt, count);
}

/** Reads what `encodeWorkload` wrote. Throws a `RangeError` where the bytes end early and an `Error` at another format. */
export function decodeWorkload(bytes: Uint8Array): FileWorkload {
  const reader = new Reader(bytes);
  const magic = Buffer.from(reader.raw(MAGIC.length)).toString("latin1");
  if (magic !== MAGIC) throw new Error(`a workload file starts with "${MAGIC}", not ${JSON.stringify(magic)}`);
  const [blockSize, podCount, messageCount, questionCount] = [reader.u32(), reader.u32(), reader.u32(), reader.u32()];
  const pods = Array.from({ length: podCount }, () => Buffer.from(reader.bytes()).toString());
  const messages = Array.from({ length: messageCount }, (): FileMessage => {
    const pod = reader.u32();
    const payload = reader.bytes();
    return { pod, payload, events: Array.from({ length: reader.u32() }, () => readEvent(reader)) };
  });
  const questions = Array.from({ length: questionCount }, (): FileQuestion => {
    const deepestBlocks = reader.u32();
    return { deepestBlocks, tokens: reader.words() };
  });
  return { blockSize, pods, messages, questions };
}

function writeEvent(writer: Writer, { type, parent, hashes, tokens }: FileEvent): void {
  writer.u32(type);
  writer.u32(parent === null ? 0 : 1);
  writer.u64(parent ?? 0n);
  writer.u32(hashes.length);
  for (const hash of hashes) writer.u64(hash);
  writer.words(tokens);
}

function readEvent(reader: Reader): FileEvent {
  const type = reader.u32() === STORED ? STORED : REMOVED;
  const hasParent = reader.u32() === 1;
  const parent = reader.u64();
  const hashes = Array.from({ length: reader.u32() }, () => reader.u64());
  return { type, parent: hasParent ? parent : null, hashes, tokens: reader.words() };
}

class Writer {
  #bytes = Buffer.alloc(1 << 20);
  #length = 0;

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Where it stands. */
  u32(value: number): number {
    this.#reserve(4);
    this.#length = this.#bytes.writeUInt32LE(value, this.#length);
    return this.#length - 4;
  }

  u64(value: bigint): void {
    this.#reserve(8);
    this.#length = this.#bytes.writeBigUInt64LE(value, this.#length);
  }

  bytes(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  words(words: Uint32Array): void {
    this.u32(words.length);
    for (const word of words) this.u32(word);
  }

  /** All of it, with a number put in that was not known before. */
  done(at: number, value: number): Uint8Array {
    this.#bytes.writeUInt32LE(value, at);
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const wider = Buffer.alloc(Math.max(2 * this.#bytes.length, this.#length + bytes));
    this.#bytes.copy(wider, 0, 0, this.#length);
    this.#bytes = wider;
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  raw(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError(`a workload file ends at byte ${this.#bytes.length} of ${end}`);
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  u32(): number {
    return Buffer.from(this.raw(4)).readUInt32LE();
  }

  u64(): bigint {
    return Buffer.from(this.raw(8)).readBigUInt64LE();
  }

  bytes(): Uint8Array {
    return this.raw(this.u32());
  }

  words(): Uint32Array {
    return Uint32Array.from({ length: this.u32() }, () => this.u32());
  }
}
