import { encodeEventBatch } from "../../src/events/encode.ts";
import type { KVEvent } from "../../src/events/event.ts";
import { seededRandom } from "../../test/support/random.ts";
import type { TraceRequest } from "../routing/trace.ts";
import { BLOCK_SIZE, Engine, oneBlockEach, type Sequence } from "./engine.ts";

export { BLOCK_SIZE, nameOf } from "./engine.ts";

export const MODEL = "m";

/** Of all messages: seconds since 1970. */
export const TIMESTAMP = 1_767_666_073.5;

/** Above all tokens of a trace's prompts; the first token that is generated is this one plus a number of its own. */
const FIRST_GENERATED = 128_000;

/** Enough for a coarse clock of CPU time. */
const REMOVALS = 20_000;

/** How messages are cut: as engines do, one for each step; or the hardest case, one for each block. */
export const SHAPES = ["steps", "blocks"] as const;

export type Shape = (typeof SHAPES)[number];

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
  /** What may come after the messages: each takes a block from a pod that holds it, for a sample of pods and blocks. */
  readonly removals: readonly PodMessage[];
  /** (block, pod) pairs at the end of the messages. */
  readonly heldPairs: number;
}

/**
 * Makes the messages that so many pods would publish when they serve the requests of a trace, each on two pods, until
 * `pairs` blocks are stored. What is generated differs each time. Blocks are known by a number here, so that the answers
 * are known without any hash.
 */
export function makeWorkload(
  requests: readonly TraceRequest[],
  podCount: number,
  pairs: number,
  questionCount: number,
  shape: Shape = "steps",
): Workload {
  const random = seededRandom(1);
  const pods = Array.from({ length: podCount }, (_, i) => `pod-${i}`);
  const capacity = Math.max(9_000, Math.ceil((0.6 * pairs) / podCount));
  const engines = pods.map((_, pod) => new Engine(pod, capacity));
  const sequences = new Sequences();
  const messages: PodMessage[] = [];
  const asked: { readonly tokens: Uint32Array; readonly chain: readonly number[] }[] = [];
  let storedBlocks = 0;
  let removedBlocks = 0;
  for (let at = 0; storedBlocks < pairs; at++) {
    const request = requests[at % requests.length]!;
    const chain = sequences.chainOf(request.tokens);
    if (random() < 0.3) asked.push({ tokens: request.tokens, chain });
    for (const pod of [Math.floor(random() * podCount), Math.floor(random() * podCount)]) {
      for (const step of engines[pod]!.serve(sequences.answered(request, chain))) {
        const batches = shape === "steps" ? [step] : oneBlockEach(step).map((event) => [event]);
        for (const events of batches) messages.push({ pod, payload: encode(events) });
        for (const event of step) {
          if (event.type === "BlockStored") storedBlocks += event.blockHashes.length;
          else removedBlocks++;
        }
      }
    }
  }
  const questions = asked.slice(-questionCount).map(({ tokens, chain }) => ({
    tokens,
    blocksByPod: new Map(
      engines.flatMap((engine, pod): [number, number][] => {
        const blocks = engine.depthOf(chain);
        return blocks === 0 ? [] : [[pod, blocks]];
      }),
    ),
  }));
  const heldPairs = engines.reduce((sum, { heldBlocks }) => sum + heldBlocks, 0);
  return { pods, messages, storedBlocks, removedBlocks, questions, removals: removalsOf(engines), heldPairs };
}

/** Of the last pods: the first one is for clearing. */
function removalsOf(engines: readonly Engine[]): PodMessage[] {
  const removals: PodMessage[] = [];
  for (let pod = engines.length - 1; pod >= 0 && removals.length < REMOVALS; pod--) {
    for (const event of engines[pod]!.olderHalf()) removals.push({ pod, payload: encode([event]) });
  }
  return removals.slice(0, REMOVALS);
}

/** Numbers for blocks of tokens, the same for the same block behind the same ones. */
class Sequences {
  readonly #numbers = new Map<string, number>();
  #count = 0;
  #served = 0;

  /** A number for each full block with all that is before it. */
  chainOf(tokens: Uint32Array): number[] {
    const chain: number[] = [];
    let parent = 0;
    for (let end = BLOCK_SIZE; end <= tokens.length; end += BLOCK_SIZE) {
      // The first tokens of a block of the trace tell its content: they follow from its id.
      const key = `${parent} ${tokens[end - BLOCK_SIZE]} ${tokens[end - 1]}`;
      let number = this.#numbers.get(key);
      if (number === undefined) {
        number = ++this.#count;
        this.#numbers.set(key, number);
      }
      chain.push(number);
      parent = number;
    }
    return chain;
  }

  /** A prompt with an answer that nobody has given yet. */
  answered({ tokens: prompt, outputTokens }: TraceRequest, chain: readonly number[]): Sequence {
    // The last token ends the request before the engine computes anything of it.
    const tokens = new Uint32Array(prompt.length + Math.max(0, outputTokens - 1));
    tokens.set(prompt);
    const random = seededRandom(this.#served);
    for (let at = prompt.length; at < tokens.length; at++) {
      tokens[at] = at === prompt.length ? FIRST_GENERATED + this.#served : Math.floor(FIRST_GENERATED * random());
    }
    this.#served++;
    const generated = Math.floor(tokens.length / BLOCK_SIZE) - chain.length;
    const own = Array.from({ length: generated }, () => ++this.#count);
    return { tokens, chain: [...chain, ...own], promptBlocks: chain.length };
  }
}

function encode(events: readonly KVEvent[]): Uint8Array {
  return encodeEventBatch({ ts: TIMESTAMP, events, dataParallelRank: 0 }, { encoding: "map" });
}
