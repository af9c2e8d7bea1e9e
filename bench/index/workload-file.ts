import { closeSync, fstatSync, openSync, readSync, writeFileSync } from "node:fs";
import { decodeEventBatch } from "../../src/events/decode.ts";
import { encodeEventBatch } from "../../src/events/encode.ts";
import type { BlockRemoved, BlockStored } from "../../src/events/event.ts";
import { Reader, Writer } from "./bytes.ts";
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

/** One message as a file has it: the bytes that the engine sends, and its events as numbers, for those that decode none. */
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

/** Messages that are made while they are written; an array is one, too. */
type Messages = Iterable<FileMessage> & { readonly length: number };

/** What contenders are told: no answers. */
export interface FileWorkload {
  readonly blockSize: number;
  readonly pods: readonly string[];
  readonly messages: Messages;
  readonly removals: Messages;
  readonly questions: readonly FileQuestion[];
}

/** The two forms of events: maps as vLLM sends them, or what older ones sent, which some peers read alone. */
export type Encoding = "map" | "array";

/** The part of a workload that a file has. Whoever is given maps decodes them: then there are no events as numbers. */
export function fileWorkload(workload: Workload, encoding: Encoding): FileWorkload {
  return {
    blockSize: BLOCK_SIZE,
    pods: workload.pods,
    messages: fileMessages(workload.messages, encoding),
    removals: fileMessages(workload.removals, encoding),
    questions: workload.questions.map(({ tokens, blocksByPod }) => ({
      tokens,
      deepestBlocks: Math.max(0, ...blocksByPod.values()),
    })),
  };
}

function fileMessages(messages: readonly PodMessage[], encoding: Encoding): Messages {
  return {
    length: messages.length,
    *[Symbol.iterator]() {
      for (const { pod, payload } of messages) {
        if (encoding === "map") {
          yield { pod, payload, events: [] };
          continue;
        }
        const events = eventsOf(payload);
        yield { pod, payload: asArrays(events), events: events.map(fileEvent) };
      }
    },
  };
}

function fileEvent(event: BlockEvent): FileEvent {
  const { blockHashes: hashes } = event;
  if (event.type === "BlockRemoved") return { type: REMOVED, parent: null, hashes, tokens: new Uint32Array() };
  return { type: STORED, parent: event.parentBlockHash, hashes, tokens: event.tokenIds };
}

/**
 * A message with these events as arrays, as vLLM sent them before they were maps, and with no more entries than llm-d
 * takes: it refuses arrays that are longer than it knows.
 */
export function asArrays(events: readonly BlockEvent[]): Uint8Array {
  return encodeEventBatch({ ts: TIMESTAMP, events, dataParallelRank: 0 }, { encoding: "array", storedEntries: 7 });
}

/** The events of a message of a workload. */
export function eventsOf(payload: Uint8Array): BlockEvent[] {
  return decodeEventBatch(payload).batch.events.map((event) => {
    if (event.type === "AllBlocksCleared") throw new Error("an event without blocks");
    return event;
  });
}

/**
 * The workload in chunks of bytes, all numbers little-endian:
 *
 * - `KVWORK02`, u32 block size, u32 pods, u32 messages, u32 removals, u32 questions;
 * - each pod: its name as bytes;
 * - each message, and each removal: u32 pod, the payload as bytes, u32 events;
 * - each event of it: u32 type (0 stored, 1 removed), u32 whether there is a parent, u64 parent, u32 hashes, u64 each, u32
 *   tokens, u32 each;
 * - each question: u32 blocks of the pod with the most, u32 tokens, u32 each.
 *
 * Bytes are a u32 length and as many bytes.
 */
export function* encodeWorkload(workload: FileWorkload): Generator<Uint8Array> {
  const { blockSize, pods, messages, removals, questions } = workload;
  const writer = new Writer();
  writer.raw(Buffer.from(MAGIC));
  for (const number of [blockSize, pods.length, messages.length, removals.length, questions.length]) writer.u32(number);
  for (const pod of pods) writer.bytes(Buffer.from(pod));
  for (const some of [messages, removals]) {
    for (const message of some) {
      writeMessage(writer, message);
      if (writer.isFull) yield writer.take();
    }
  }
  for (const { tokens, deepestBlocks } of questions) {
    writer.u32(deepestBlocks);
    writer.words(tokens);
    if (writer.isFull) yield writer.take();
  }
  yield writer.take();
}

/**
 * Reads what `encodeWorkload` wrote, payloads as views of the bytes. Messages have no events unless they are wanted, since
 * numbers take more memory than payloads. Throws a `RangeError` where the bytes end early and an `Error` at another format.
 */
export function decodeWorkload(bytes: Uint8Array, withEvents: boolean): FileWorkload {
  const reader = new Reader(bytes);
  const magic = Buffer.from(reader.raw(MAGIC.length)).toString("latin1");
  if (magic !== MAGIC) throw new Error(`a workload file starts with "${MAGIC}", not ${JSON.stringify(magic)}`);
  const blockSize = reader.u32();
  const podCount = reader.u32();
  const messageCount = reader.u32();
  const removalCount = reader.u32();
  const questionCount = reader.u32();
  const pods = Array.from({ length: podCount }, () => Buffer.from(reader.bytes()).toString());
  const messages = Array.from({ length: messageCount }, () => readMessage(reader, withEvents));
  const removals = Array.from({ length: removalCount }, () => readMessage(reader, withEvents));
  const questions = Array.from({ length: questionCount }, (): FileQuestion => {
    const deepestBlocks = reader.u32();
    return { deepestBlocks, tokens: reader.words() };
  });
  return { blockSize, pods, messages, removals, questions };
}

/** Most bytes that one call of the system reads. */
const READ_BYTES = 1 << 30;

/** Writes a workload to a file, which may have more than two gigabytes. */
export function writeWorkload(path: string, workload: FileWorkload): void {
  const file = openSync(path, "w");
  try {
    for (const chunk of encodeWorkload(workload)) writeFileSync(file, chunk);
  } finally {
    closeSync(file);
  }
}

/** Reads a workload from a file, without events as numbers. Throws as `decodeWorkload` does. */
export function readWorkload(path: string): FileWorkload {
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.allocUnsafeSlow(fstatSync(file).size);
    for (let at = 0; at < bytes.length; )
      at += readSync(file, bytes, at, Math.min(READ_BYTES, bytes.length - at), null);
    return decodeWorkload(bytes, false);
  } finally {
    closeSync(file);
  }
}

function writeMessage(writer: Writer, { pod, payload, events }: FileMessage): void {
  writer.u32(pod);
  writer.bytes(payload);
  writer.u32(events.length);
  for (const event of events) writeEvent(writer, event);
}

function readMessage(reader: Reader, withEvents: boolean): FileMessage {
  const pod = reader.u32();
  const payload = reader.bytes();
  const count = reader.u32();
  if (withEvents) return { pod, payload, events: Array.from({ length: count }, () => readEvent(reader)) };
  for (let event = 0; event < count; event++) skipEvent(reader);
  return { pod, payload, events: [] };
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

function skipEvent(reader: Reader): void {
  reader.skip(16);
  reader.skip(8 * reader.u32());
  reader.skip(4 * reader.u32());
}
