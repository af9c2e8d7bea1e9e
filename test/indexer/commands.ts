import fc from "fast-check";
import type { BlockRemoved, BlockStored } from "../../src/events/event.ts";
import type { BlockSource, Lora } from "../../src/indexer/indexer.ts";
import { removed, source, stored } from "./support.ts";

/** A prompt as a client sends it, and all by which an engine tells its blocks from others'. */
export interface Prompt {
  readonly ids: readonly number[];
  readonly blockSize: number;
  readonly lora: Lora;
  readonly salt: string;
  /** An image in the third block. */
  readonly image: boolean;
}
interface Place {
  readonly medium: string | null;
  readonly groupIdx: number | null;
  readonly kvCacheSpecKind?: string | null;
  readonly kvCacheSpecSlidingWindow?: number | null;
}
/** What engines do, one step at a time. */
export type Command = { readonly from: BlockSource } & (
  | {
      readonly type: "store";
      readonly prompt: Prompt;
      readonly start: number;
      readonly end: number;
      readonly place: Place;
      readonly bare: boolean;
      readonly sglang: boolean;
    }
  | {
      readonly type: "remove";
      readonly prompt: Prompt;
      readonly start: number;
      readonly end: number;
      readonly place: Place;
    }
  | { readonly type: "nonsense"; readonly event: BlockStored | BlockRemoved }
  | { readonly type: "clear" }
);

export const LORAS: readonly Lora[] = [-1, 2, "sql"];
const IMAGE = ["3f", 0];

const from = fc
  .record({
    model: fc.constantFrom("m", "m", "n"),
    pod: fc.constantFrom("a", "b"),
    rank: fc.constantFrom(0, 1),
    loraId: fc.constantFrom(-1, -1, 2),
  })
  .map(({ pod, rank, ...more }) => source(pod, rank, more));

export const medium: fc.Arbitrary<string | null> = fc.constantFrom(null, null, "GPU", "cpu", "CPU", "Disk");

const place: fc.Arbitrary<Place> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ medium, groupIdx: fc.constant(null) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      medium,
      groupIdx: fc.constantFrom(0, 1),
      kvCacheSpecKind: fc.constantFrom(null, "full_attention", "sliding_window", "mamba", "chunked_local_attention"),
      kvCacheSpecSlidingWindow: fc.constantFrom(null, 1, 3, 5),
    }),
  },
);

// Few ids, and tails of a common start: prompts share prefixes of every length.
export const ids: fc.Arbitrary<number[]> = fc
  .tuple(fc.nat({ max: 24 }), fc.array(fc.constantFrom(1, 2), { maxLength: 6 }))
  .map(([shared, tail]) => [...Array.from({ length: shared }, (_, i) => i % 3), ...tail]);

const prompt: fc.Arbitrary<Prompt> = fc.record({
  ids,
  blockSize: fc.constantFrom(1, 1, 2, 2, 4),
  lora: fc.constantFrom(-1, -1, ...LORAS),
  salt: fc.constantFrom("", "", "", "pepper"),
  image: fc.constantFrom(false, false, false, true),
});

const range = { start: fc.nat({ max: 6 }), end: fc.nat({ max: 30 }) };

const smallHash = fc.integer({ min: 1, max: 5 }).map(BigInt);

/** What no engine sends: hashes, parents and tokens that have nothing to do with each other. */
const nonsense = fc.oneof(
  fc
    .record({
      hashes: fc.array(smallHash, { maxLength: 4 }),
      parent: fc.option(smallHash),
      tokenIds: fc.array(fc.constantFrom(0, 1), { maxLength: 6 }),
      blockSize: fc.constantFrom(1, 2),
      place,
    })
    .map((it) => stored(it.hashes, it.parent, Uint32Array.from(it.tokenIds), { ...it.place, blockSize: it.blockSize })),
  fc.record({ hashes: fc.array(smallHash, { maxLength: 4 }), place }).map((it) => removed(it.hashes, it.place)),
);

export const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constant("store" as const),
      from,
      prompt,
      ...range,
      place,
      bare: fc.constantFrom(false, false, false, false, true),
      sglang: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ type: fc.constant("remove" as const), from, prompt, ...range, place }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("nonsense" as const), from, event: nonsense }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("clear" as const), from }) },
);

/** Names blocks as engines do: by all that is in them and before them, and at any block size by the last token. */
export class Naming {
  readonly #names = new Map<string, bigint>();

  name(engine: BlockSource, { ids, lora, salt, image }: Prompt, endToken: number): bigint {
    // Each engine counts for itself, so that the same number means other blocks elsewhere.
    const text = JSON.stringify([engine.pod, engine.rank, ids.slice(0, endToken), lora, salt, image]);
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    const next = BigInt([...this.#names.keys()].filter((key) => key.startsWith(text.slice(0, 6))).length + 1);
    this.#names.set(text, next);
    return next;
  }
}

function sliceOf(naming: Naming, engine: BlockSource, prompt: Prompt, start: number, end: number) {
  const blocks = Math.floor(prompt.ids.length / prompt.blockSize);
  const name = (block: number) => naming.name(engine, prompt, (block + 1) * prompt.blockSize);
  const numbers = Array.from({ length: Math.max(0, Math.min(end, blocks) - start) }, (_, i) => start + i);
  return { numbers, hashes: numbers.map(name), parent: start === 0 ? null : name(start - 1) };
}

function storeEvent(naming: Naming, command: Command & { type: "store" }): BlockStored {
  const { from, prompt, start, end, place, bare, sglang } = command;
  const { blockSize, lora, salt, image } = prompt;
  const { numbers, hashes, parent } = sliceOf(naming, from, prompt, start, end);
  const extraKeys = numbers.map((block) => [
    ...(typeof lora === "string" ? [lora] : []),
    ...(image && block === 2 ? [IMAGE] : []),
    ...(salt !== "" && block === 0 && !sglang ? [salt] : []),
  ]);
  const ids = bare ? [] : prompt.ids.slice(start * blockSize, (start + numbers.length) * blockSize);
  return stored(hashes, bare ? null : parent, Uint32Array.from(ids), {
    ...place,
    blockSize,
    loraId: lora === 2 ? 2 : null,
    loraName: typeof lora === "string" ? lora : null,
    extraKeys: extraKeys.some((keys) => keys.length > 0) ? extraKeys : null,
    cacheSalt: sglang && salt !== "" ? salt : null,
  });
}

/** What an engine says when it does this. */
export function eventOf(naming: Naming, command: Command & { type: "store" | "remove" }): BlockStored | BlockRemoved {
  if (command.type === "store") return storeEvent(naming, command);
  const { from, prompt, start, end, place } = command;
  const { medium, groupIdx } = place;
  return removed(sliceOf(naming, from, prompt, start, end).hashes, { medium, groupIdx });
}
