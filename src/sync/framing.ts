import { KVEventSyncError } from "../errors.ts";
import type { Message } from "../transport.ts";

const SEQUENCE_BYTES = 8;
const EMPTY = new Uint8Array();

/** One batch as it travels: `payload` is a view into what was received. */
export interface SequencedBatch {
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** The end of a replay, in place of a batch. */
export const END_OF_REPLAY = "end-of-replay";

/**
 * Reads `[topic, sequence, payload]` (vLLM `vllm/distributed/kv_events.py`): the sequence in 8 bytes, big-endian.
 *
 * @throws KVEventSyncError `framing`
 */
export function parseLiveMessage(message: Message): SequencedBatch {
  if (message.length !== 3) throw framing(message, "expected 3: topic, sequence, payload");
  return { sequence: readSequence(message, 1), payload: message[2]! };
}

/** `["", start]`, as the replay endpoint expects it of a DEALER. */
export function encodeReplayRequest(from: number): Message {
  const start = new Uint8Array(SEQUENCE_BYTES);
  new DataView(start.buffer).setBigUint64(0, BigInt(from));
  return [EMPTY, start];
}

/**
 * Reads a replay's answer, in either framing: `["", sequence, payload]` (vLLM before 0.26, SGLang) or `["", topic,
 * sequence, payload]` (vLLM since 0.26, vllm-project/vllm#45177). The end marker has the sequence −1 and no payload.
 *
 * @throws KVEventSyncError `framing`
 */
export function parseReplayMessage(message: Message): SequencedBatch | typeof END_OF_REPLAY {
  if (message.length !== 3 && message.length !== 4) {
    throw framing(message, 'expected 3 or 4: "", topic where vLLM is 0.26 or later, sequence, payload');
  }
  const at = message.length - 2;
  const payload = message[at + 1]!;
  if (payload.length === 0 && isMinusOne(message[at]!)) return END_OF_REPLAY;
  return { sequence: readSequence(message, at), payload };
}

function readSequence(message: Message, index: number): number {
  const frame = message[index]!;
  if (frame.length !== SEQUENCE_BYTES) {
    throw framing(message, `the sequence in frame ${index} has ${frame.length} bytes; expected ${SEQUENCE_BYTES}`);
  }
  const high = ((frame[0]! << 24) | (frame[1]! << 16) | (frame[2]! << 8) | frame[3]!) >>> 0;
  const low = ((frame[4]! << 24) | (frame[5]! << 16) | (frame[6]! << 8) | frame[7]!) >>> 0;
  const sequence = high * 0x1_0000_0000 + low;
  if (Number.isSafeInteger(sequence)) return sequence;
  throw framing(message, `the sequence in frame ${index} is above 2^53, which no engine reaches`);
}

function isMinusOne(frame: Uint8Array): boolean {
  return frame.length === SEQUENCE_BYTES && frame.every((byte) => byte === 0xff);
}

function framing(message: Message, problem: string): KVEventSyncError {
  const sizes = message.map((frame) => frame.length).join(", ");
  return new KVEventSyncError(
    "framing",
    `message of ${message.length} frames (${cut(sizes)} bytes): ${problem}; check who publishes there`,
  );
}

function cut(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
