import { encodeEventBatch } from "../../src/events/encode.ts";
import type { BlockStored, KVEvent } from "../../src/events/event.ts";
import { BLOCK_SIZE, nameOf } from "../index/workload.ts";
import { wireMessage } from "./publishers.ts";

/** Blocks of a prompt: 8,192 tokens. */
export const PROMPT_BLOCKS = 512;
export const PROMPTS = 400;

/** Blocks that a pod holds from its first messages on: four prompts. */
const HELD_BLOCKS = 4 * PROMPT_BLOCKS;

/** Most blocks that one step of an engine fills. */
const STEP_BLOCKS = 4;

/** Prompts that lie between those of one pod and of the next. */
const STRIDE = 7;

/** What one pod sends: what it has at the start, and then a message for each step. */
export interface PodStream {
  readonly first: Uint8Array;
  readonly firstMessages: number;
  readonly steps: readonly Uint8Array[];
}

export function promptTokens(prompt: number): Uint32Array {
  const tokens = new Uint32Array(PROMPT_BLOCKS * BLOCK_SIZE);
  let state = Math.imul(prompt + 1, 0x9e3779b1);
  for (let at = 0; at < tokens.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    tokens[at] = (state >>> 8) % 128_000;
  }
  return tokens;
}

/**
 * A pod fills prompt after prompt, one to four blocks a step, and drops as many of its oldest prompt, from its end. So
 * it holds as many blocks at the end as at the start, and what it holds follows from how many it has stored.
 */
export function podStream(pod: number, storedBlocks: number): PodStream {
  const first = firstBatches(pod).map((payload, sequence) => wireMessage(sequence, payload));
  const steps: Uint8Array[] = [];
  for (let at = HELD_BLOCKS; at < HELD_BLOCKS + storedBlocks; ) {
    const wanted = 1 + ((at + pod) % STEP_BLOCKS);
    const count = Math.min(wanted, PROMPT_BLOCKS - (at % PROMPT_BLOCKS), HELD_BLOCKS + storedBlocks - at);
    const payload = batch([stored(pod, at, count), removed(pod, at - HELD_BLOCKS, count)]);
    steps.push(wireMessage(first.length + steps.length, payload));
    at += count;
  }
  return { first: Buffer.concat(first), firstMessages: first.length, steps };
}

/** What a pod has at the start, as payloads of its first messages. */
export function firstBatches(pod: number): Uint8Array[] {
  return Array.from({ length: HELD_BLOCKS / PROMPT_BLOCKS }, (_, slot) =>
    batch([stored(pod, slot * PROMPT_BLOCKS, PROMPT_BLOCKS)]),
  );
}

/** (block, pod) pairs of so many pods, at any time after their first messages. */
export function heldPairs(pods: number): number {
  return pods * HELD_BLOCKS;
}

/** Blocks of the prompt that a pod holds, from its start, after it has stored so many since its first messages. */
export function matchedBlocks(pod: number, storedBlocks: number, prompt: number): number {
  const oldest = Math.floor(storedBlocks / PROMPT_BLOCKS);
  const partial = storedBlocks % PROMPT_BLOCKS;
  for (let slot = oldest; slot <= oldest + HELD_BLOCKS / PROMPT_BLOCKS; slot++) {
    if (promptOf(pod, slot) !== prompt) continue;
    if (slot === oldest) return PROMPT_BLOCKS - partial;
    return slot === oldest + HELD_BLOCKS / PROMPT_BLOCKS ? partial : PROMPT_BLOCKS;
  }
  return 0;
}

function batch(events: readonly KVEvent[]): Uint8Array {
  return encodeEventBatch({ ts: 1_767_666_073.5, events, dataParallelRank: 0 }, { encoding: "map" });
}

function promptOf(pod: number, slot: number): number {
  return (pod * STRIDE + slot) % PROMPTS;
}

function stored(pod: number, at: number, count: number): BlockStored {
  const prompt = promptOf(pod, Math.floor(at / PROMPT_BLOCKS));
  const block = at % PROMPT_BLOCKS;
  const name = (which: number): bigint => nameOf(pod, prompt * PROMPT_BLOCKS + which + 1);
  return {
    type: "BlockStored",
    blockHashes: Array.from({ length: count }, (_, i) => name(block + i)),
    parentBlockHash: block === 0 ? null : name(block - 1),
    tokenIds: knownTokens(prompt).subarray(block * BLOCK_SIZE, (block + count) * BLOCK_SIZE),
    blockSize: BLOCK_SIZE,
    loraId: null,
    loraName: null,
    medium: "GPU",
    extraKeys: null,
    groupIdx: null,
    kvCacheSpecKind: null,
    kvCacheSpecSlidingWindow: null,
    cacheSalt: null,
  };
}

function removed(pod: number, at: number, count: number): KVEvent {
  const blockHashes = Array.from({ length: count }, (_, i) => {
    const prompt = promptOf(pod, Math.floor((at + i) / PROMPT_BLOCKS));
    return nameOf(pod, prompt * PROMPT_BLOCKS + PROMPT_BLOCKS - ((at + i) % PROMPT_BLOCKS));
  });
  return { type: "BlockRemoved", blockHashes, medium: "GPU", groupIdx: null };
}

const prompts = new Map<number, Uint32Array>();

function knownTokens(prompt: number): Uint32Array {
  let tokens = prompts.get(prompt);
  if (tokens === undefined) {
    tokens = promptTokens(prompt);
    prompts.set(prompt, tokens);
  }
  return tokens;
}
