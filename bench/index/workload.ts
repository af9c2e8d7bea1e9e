import { encodeEventBatch } from "../../src/events/encode.ts";
import type { BlockStored, KVEvent } from "../../src/events/event.ts";
import { seededRandom } from "../../test/support/random.ts";
import type { TraceRequest } from "../routing/trace.ts";

export const BLOCK_SIZE = 16;
export const MODEL = "m";

/** Of all messages: seconds since 1970. */
export const TIMESTAMP = 1_767_666_073.5;

/** One message of one pod. */
export interface PodMessage {
  readonly pod: number;
  readonly payload: Uint8Array;
}

/** A prompt, and how many blocks of it each pod holds at the end. */
export interface Question {
  readonly tokens: Uint32Array;
  readonly blocksByPod: ReadonlyMap<number, number>;
}

export interface Workload {
  readonly pods: readonly string[];
  readonly messages: readonly PodMessage[];
  readonly storedBlocks: number;
  readonly removedBlocks: number;
  readonly questions: readonly Question[];
  /** (block, pod) pairs at the end. */
  readonly heldPairs: number;
}

/** What one pod has: blocks by their chained name, the least recently used first. */
class Pool {
  readonly held = new Map<number, { readonly parent: number | null }>();
  readonly children = new Map<number, number>();
}

/**
 * Makes the messages that so many pods would publish when they serve the prompts of a trace, one block a message as a
 * rule, each prompt on two pods; blocks that were used least go when a pool is full, ends of prompts first. Blocks are
 * known by a number here, so that the answers are known without any hash.
 */
export function makeWorkload(
  requests: readonly TraceRequest[],
  podCount: number,
  pairs: number,
  questionCount: number,
): Workload {
  const random = seededRandom(1);
  const pods = Array.from({ length: podCount }, (_, i) => `pod-${i}`);
  const pools = pods.map(() => new Pool());
  const capacity = Math.max(9_000, Math.ceil((0.6 * pairs) / podCount));
  const numbers = new Map<string, number>();
  const messages: PodMessage[] = [];
  const asked: { readonly tokens: Uint32Array; readonly chain: readonly number[] }[] = [];
  let storedBlocks = 0;
  let removedBlocks = 0;
  for (let at = 0; storedBlocks < pairs; at++) {
    const { tokens } = requests[at % requests.length]!;
    const chain = chainOf(tokens, numbers);
    if (random() < 0.3) asked.push({ tokens, chain });
    for (const pod of [Math.floor(random() * podCount), Math.floor(random() * podCount)]) {
      const events = serve(pools[pod]!, chain, tokens, pod, capacity);
      for (const event of events) {
        messages.push({ pod, payload: encode(event) });
        if (event.type === "BlockStored") storedBlocks += event.blockHashes.length;
        else if (event.type === "BlockRemoved") removedBlocks += event.blockHashes.length;
      }
    }
  }
  const questions = asked.slice(-questionCount).map(({ tokens, chain }) => ({
    tokens,
    blocksByPod: new Map(
      pools.flatMap(({ held }, pod): [number, number][] => {
        const missing = chain.findIndex((block) => !held.has(block));
        const blocks = missing < 0 ? chain.length : missing;
        return blocks === 0 ? [] : [[pod, blocks]];
      }),
    ),
  }));
  const heldPairs = pools.reduce((sum, { held }) => sum + held.size, 0);
  return { pods, messages, storedBlocks, removedBlocks, questions, heldPairs };
}

/** A number for each full block with all that is before it. */
function chainOf(tokens: Uint32Array, numbers: Map<string, number>): number[] {
  const chain: number[] = [];
  let parent = 0;
  for (let end = BLOCK_SIZE; end <= tokens.length; end += BLOCK_SIZE) {
    // The first tokens of a block of the trace tell its content: they follow from its id.
    const key = `${parent} ${tokens[end - BLOCK_SIZE]} ${tokens[end - 1]}`;
    let number = numbers.get(key);
    if (number === undefined) {
      number = numbers.size + 1;
      numbers.set(key, number);
    }
    chain.push(number);
    parent = number;
  }
  return chain;
}

function serve(pool: Pool, chain: readonly number[], tokens: Uint32Array, pod: number, capacity: number): KVEvent[] {
  const events: KVEvent[] = [];
  for (const [at, block] of chain.entries()) {
    if (pool.held.has(block)) continue;
    const parent = at === 0 ? null : chain[at - 1]!;
    pool.held.set(block, { parent });
    if (parent !== null) pool.children.set(parent, (pool.children.get(parent) ?? 0) + 1);
    events.push(stored(pod, block, parent, tokens.slice(at * BLOCK_SIZE, (at + 1) * BLOCK_SIZE)));
  }
  // Used now, the deepest first: it will be the first to go.
  for (let at = chain.length - 1; at >= 0; at--) {
    const block = pool.held.get(chain[at]!)!;
    pool.held.delete(chain[at]!);
    pool.held.set(chain[at]!, block);
  }
  for (const [block, { parent }] of pool.held) {
    if (pool.held.size <= capacity) break;
    if ((pool.children.get(block) ?? 0) > 0) continue;
    pool.held.delete(block);
    pool.children.delete(block);
    if (parent !== null) pool.children.set(parent, pool.children.get(parent)! - 1);
    events.push({ type: "BlockRemoved", blockHashes: [nameOf(pod, block)], medium: "GPU", groupIdx: null });
  }
  return events;
}

/** As engines do: a name of its own in each pod, 64 bits. */
export function nameOf(pod: number, block: number): bigint {
  const low = Math.imul(block, 0x9e3779b1) ^ Math.imul(pod + 1, 0x85ebca6b);
  const high = Math.imul(block + 7, 0xc2b2ae35) ^ pod;
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0) | (1n << 63n);
}

function stored(pod: number, block: number, parent: number | null, tokenIds: Uint32Array): BlockStored {
  return {
    type: "BlockStored",
    blockHashes: [nameOf(pod, block)],
    parentBlockHash: parent === null ? null : nameOf(pod, parent),
    tokenIds,
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

function encode(event: KVEvent): Uint8Array {
  return encodeEventBatch({ ts: TIMESTAMP, events: [event], dataParallelRank: 0 }, { encoding: "map" });
}
