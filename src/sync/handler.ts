import { DecodeError } from "../errors.ts";
import { decodePackedBatch } from "../events/decode-packed.ts";
import { PackedBatch, PackedType } from "../events/packed-batch.ts";
import type { BlockSource, PrefixIndexer } from "../indexer/indexer.ts";

/** Whose events a handler handles. */
export interface HandlerSubject {
  readonly model: string;
  readonly pod: string;
  /** Of the endpoint; a batch that names another rank wins. */
  readonly rank: number;
  /** Adapter of the whole pod, −1 for none. */
  readonly loraId: number;
  /** Whether another endpoint of the pod is this rank's own: then a batch from here cannot be that rank's. */
  readonly isForeignRank: (rank: number) => boolean;
}

/** What one batch brought. */
export interface HandledBatch {
  /** When it was published, by the engine's clock: seconds since 1970. `null` where it could not be read. */
  readonly publishedAtSeconds: number | null;
  /** By type. */
  readonly events: Readonly<Record<string, number>>;
  readonly eventCount: number;
  /** One for each event that could not be read, or one for the whole batch. */
  readonly errors: readonly DecodeError[];
}

const NO_EVENTS: Readonly<Record<string, number>> = {};

/** Names of `PackedType`, by its values. */
const TYPE_NAMES = ["BlockStored", "BlockRemoved", "AllBlocksCleared"] as const;

/** What a batch of one event counts, as most are: made once. */
const ONE_EVENT: readonly Readonly<Record<string, number>>[] = TYPE_NAMES.map((name) => ({ [name]: 1 }));

/** Nothing of a batch is kept, so that one is enough for all streams. */
const batch = new PackedBatch();

/** Ranks that one endpoint may speak for: more than any engine has. */
const MAX_RANKS = 1_024;

/** Folds the batches of one stream into the index. Nothing that a batch holds makes it throw. */
export class KVEventHandler {
  readonly #indexer: PrefixIndexer;
  readonly #subject: HandlerSubject;
  readonly #onPromptStart: ((tokens: Uint32Array) => void) | undefined;
  readonly #sources = new Map<number, BlockSource>();

  /** `onPromptStart` hears of the tokens of blocks that begin a prompt; they are not to be kept. */
  constructor(indexer: PrefixIndexer, subject: HandlerSubject, onPromptStart?: (tokens: Uint32Array) => void) {
    this.#indexer = indexer;
    this.#subject = subject;
    this.#onPromptStart = onPromptStart;
  }

  /** Applies the events that can be read, in order. */
  handle(payload: Uint8Array): HandledBatch {
    try {
      decodePackedBatch(payload, batch);
    } catch (error) {
      if (error instanceof DecodeError) return unreadable(error);
      throw error;
    }
    const { ts: publishedAtSeconds, eventCount, errors } = batch;
    const source = this.#sourceOf(batch.dataParallelRank);
    this.#indexer.processEvents(source, batch);
    if (this.#onPromptStart !== undefined) tellPromptStarts(this.#onPromptStart);
    return { publishedAtSeconds, events: countEvents(), eventCount, errors };
  }

  /** Forgets all that this stream has told. */
  purge(): void {
    for (const source of this.#sources.values()) this.#indexer.processAllBlocksCleared(source);
    this.#sources.clear();
  }

  /** Whose blocks it has told of. */
  get sources(): readonly BlockSource[] {
    return [...this.#sources.values()];
  }

  /** Takes over what an earlier stream has told; its blocks are in the index already. */
  restore(sources: readonly BlockSource[]): void {
    for (const source of sources) this.#sources.set(source.rank, source);
  }

  /** Lets queries see what was taken over. */
  reveal(): void {
    for (const source of this.#sources.values()) this.#indexer.reveal(source);
  }

  /** Whether it has told of this rank. */
  speaksFor(rank: number): boolean {
    return this.#sources.has(rank);
  }

  #sourceOf(batchRank: number | null): BlockSource {
    const { model, pod, loraId, isForeignRank } = this.#subject;
    const own = this.#subject.rank;
    const rank = batchRank === null || batchRank === own || isForeignRank(batchRank) ? own : batchRank;
    const known = this.#sources.get(rank);
    if (known !== undefined) return known;
    // A broken engine that names another rank in each batch must not fill the memory.
    const source = { model, pod, rank: this.#sources.size < MAX_RANKS ? rank : own, loraId };
    this.#sources.set(source.rank, source);
    return source;
  }
}

function tellPromptStarts(listener: (tokens: Uint32Array) => void): void {
  for (let index = 0; index < batch.eventCount; index++) {
    const { type, hasParent, tokenStart, tokenCount } = batch.events[index]!;
    if (type !== PackedType.stored || hasParent || tokenCount === 0) continue;
    listener(batch.tokens.subarray(tokenStart, tokenStart + tokenCount));
  }
}

/** Of the batch, by type. */
function countEvents(): Readonly<Record<string, number>> {
  const { events, eventCount } = batch;
  if (eventCount === 1) return ONE_EVENT[events[0]!.type]!;
  const counts = [0, 0, 0];
  for (let index = 0; index < eventCount; index++) counts[events[index]!.type]!++;
  const named: Record<string, number> = {};
  for (const [type, count] of counts.entries()) if (count > 0) named[TYPE_NAMES[type]!] = count;
  return named;
}

function unreadable(error: DecodeError): HandledBatch {
  return { publishedAtSeconds: null, events: NO_EVENTS, eventCount: 0, errors: [error] };
}
