import type { BlockHash, BlockRemoved, BlockStored, EventBatch, KVEvent } from "./event.ts";
import { MessagePackWriter } from "./message-pack-writer.ts";

/**
 * How a block hash is written: `int` unsigned, as vLLM does; `signed`, as SGLang does; `bytes8` big-endian; `bytes32`
 * like a SHA-256, of which the last 8 bytes are the hash and the others differ from them.
 */
export type HashForm = "int" | "signed" | "bytes8" | "bytes32";

export interface EncodeOptions {
  /** Events as `["BlockStored", …]` (vLLM before #42892, SGLang) or as `{"type": "BlockStored", …}` (vLLM 0.24 and later). */
  readonly encoding: "array" | "map";
  /** The batch itself as a map, as vLLM 0181ea3 does. Off: all others send an array. */
  readonly mapBatch?: boolean;
  /** Default `int`. */
  readonly hashForm?: HashForm;
  /**
   * Entries of an array `BlockStored`, which tell the engine's age: 12 as in vLLM's last array form (default), 8 with
   * `lora_name` at the end, 7 before that and in SGLang, 6 before `medium`. An engine has none of the fields past it, so
   * they are left out, and `BlockRemoved` is cut to suit. SGLang's metadata map, where there is a cache salt, comes on top.
   */
  readonly storedEntries?: 6 | 7 | 8 | 9 | 10 | 12;
}

/**
 * Writes a batch byte for byte as msgspec does for vLLM's structs (`vllm/distributed/kv_events.py`). `omit_defaults` has
 * an effect on maps only: an array keeps its length, with nil at its end.
 *
 * @throws KVEventSyncError `invalid-event` where a value has no MessagePack form.
 */
export function encodeEventBatch(batch: EventBatch, options: EncodeOptions): Uint8Array {
  const writer = new MessagePackWriter();
  const encoder = new EventEncoder(writer, options);
  if (options.mapBatch) {
    writer.map(batch.dataParallelRank === null ? 2 : 3);
    writer.text("ts");
    writer.float(batch.ts);
    writer.text("events");
    encoder.events(batch.events);
    if (batch.dataParallelRank === null) return writer.finish();
    writer.text("data_parallel_rank");
  } else {
    writer.array(3);
    writer.float(batch.ts);
    encoder.events(batch.events);
  }
  writer.value(batch.dataParallelRank);
  return writer.finish();
}

/** A field's name, what writes its value, and whether a map leaves it out. */
type Field = readonly [name: string, write: () => void, isDefault: boolean];

class EventEncoder {
  readonly #writer: MessagePackWriter;
  readonly #isMap: boolean;
  readonly #hashForm: HashForm;
  readonly #storedEntries: number;
  readonly #removedEntries: number;

  constructor(writer: MessagePackWriter, options: EncodeOptions) {
    this.#writer = writer;
    this.#isMap = options.encoding === "map";
    this.#hashForm = options.hashForm ?? "int";
    this.#storedEntries = options.storedEntries ?? 12;
    this.#removedEntries = this.#storedEntries >= 10 ? 4 : this.#storedEntries >= 7 ? 3 : 2;
  }

  events(events: readonly KVEvent[]): void {
    this.#writer.array(events.length);
    for (const event of events) this.#event(event);
  }

  #event(event: KVEvent): void {
    const fields = this.#fieldsOf(event);
    const writer = this.#writer;
    if (!this.#isMap) {
      writer.array(fields.length + 1);
      writer.text(event.type);
      for (const [, write] of fields) write();
      return;
    }
    const present = fields.filter(([, , isDefault]) => !isDefault);
    writer.map(present.length + 1);
    writer.text("type");
    writer.text(event.type);
    for (const [name, write] of present) {
      writer.text(name);
      write();
    }
  }

  #fieldsOf(event: KVEvent): readonly Field[] {
    if (event.type === "AllBlocksCleared") return [];
    return event.type === "BlockStored" ? this.#storedFields(event) : this.#removedFields(event);
  }

  #storedFields(event: BlockStored): readonly Field[] {
    const fields: readonly Field[] = [
      this.#hashes(event.blockHashes),
      ["parent_block_hash", () => this.#hashOrNil(event.parentBlockHash), false],
      ["token_ids", () => this.#tokenIds(event.tokenIds), false],
      ["block_size", () => this.#writer.integer(event.blockSize), false],
      this.#required("lora_id", event.loraId),
      this.#required("medium", event.medium),
      this.#required("lora_name", event.loraName),
      this.#optional("extra_keys", event.extraKeys),
      this.#optional("group_idx", event.groupIdx),
      this.#optional("kv_cache_spec_kind", event.kvCacheSpecKind),
      this.#optional("kv_cache_spec_sliding_window", event.kvCacheSpecSlidingWindow),
    ];
    const written = this.#isMap ? fields : fields.slice(0, this.#storedEntries - 1);
    return event.cacheSalt === null
      ? written
      : [...written, this.#required("metadata", { cache_salt: event.cacheSalt })];
  }

  #removedFields(event: BlockRemoved): readonly Field[] {
    const fields = [
      this.#hashes(event.blockHashes),
      this.#required("medium", event.medium),
      this.#optional("group_idx", event.groupIdx),
    ];
    return this.#isMap ? fields : fields.slice(0, this.#removedEntries - 1);
  }

  #required(name: string, value: unknown): Field {
    return [name, () => this.#writer.value(value), false];
  }

  #optional(name: string, value: unknown): Field {
    return [name, () => this.#writer.value(value), value === null];
  }

  #hashes(hashes: readonly BlockHash[]): Field {
    const write = (): void => {
      this.#writer.array(hashes.length);
      for (const hash of hashes) this.#hash(hash);
    };
    return ["block_hashes", write, false];
  }

  #tokenIds(tokenIds: Uint32Array): void {
    this.#writer.array(tokenIds.length);
    for (const id of tokenIds) this.#writer.integer(id);
  }

  #hashOrNil(hash: BlockHash | null): void {
    if (hash === null) this.#writer.nil();
    else this.#hash(hash);
  }

  #hash(hash: BlockHash): void {
    if (this.#hashForm === "int") this.#writer.integer(hash);
    else if (this.#hashForm === "signed") this.#writer.integer(BigInt.asIntN(64, hash));
    else this.#writer.binary(hashBytes(hash, this.#hashForm === "bytes8" ? 8 : 32));
  }
}

function hashBytes(hash: BlockHash, length: 8 | 32): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  // The complement in front: a reader that takes other bytes than the last 8 gets another hash.
  for (let offset = 0; offset < length - 8; offset += 8) view.setBigUint64(offset, BigInt.asUintN(64, ~hash));
  view.setBigUint64(length - 8, BigInt.asUintN(64, hash));
  return bytes;
}
