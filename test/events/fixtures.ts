import { readFileSync } from "node:fs";
import type { EncodeOptions } from "../../src/events/encode.ts";
import type { EventBatch, KVEvent } from "../../src/events/event.ts";

/** A batch as msgspec encoded it (test/fixtures/make-events.py). */
export interface Fixture {
  readonly name: string;
  readonly options: EncodeOptions;
  readonly payload: Uint8Array;
  readonly batch: EventBatch;
}

/** One block of a real engine, in the array form of 7 entries. */
export const GOLDEN_ARRAY: Uint8Array = fromHex(
  "93cb41da571c66738e519197ab426c6f636b53746f72656491cff35fe17b0d81a24ccfda329fe1bf8aac01dc0010cd1079cd013bcd02a6cd" +
    "0372ce0002505dccc6ce0002505cce00012d23ccc6ce00025073ccc6cd7e390bcd0305cd0166cd04a010c0a347505500",
);

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function loadFixtures(): readonly Fixture[] {
  const lines = readFileSync(new URL("../fixtures/events.jsonl", import.meta.url), "utf8")
    .trim()
    .split("\n");
  return lines.map((line) => {
    const { name, options, ts, rank, events, hex } = JSON.parse(line);
    return { name, options, payload: fromHex(hex), batch: { ts, events: events.map(toEvent), dataParallelRank: rank } };
  });
}

interface WireEvent {
  readonly type: KVEvent["type"];
  readonly block_hashes: readonly string[];
  readonly parent_block_hash: string | null;
  readonly token_ids: readonly number[];
  readonly block_size: number;
  readonly lora_id?: number | null;
  readonly lora_name?: string | null;
  readonly medium?: string | null;
  readonly extra_keys?: readonly (readonly unknown[] | null)[] | null;
  readonly group_idx?: number | null;
  readonly kv_cache_spec_kind?: string | null;
  readonly kv_cache_spec_sliding_window?: number | null;
  readonly metadata?: { readonly cache_salt: string };
}

function toEvent(wire: WireEvent): KVEvent {
  if (wire.type === "AllBlocksCleared") return { type: wire.type };
  const blockHashes = wire.block_hashes.map(BigInt);
  const medium = wire.medium ?? null;
  const groupIdx = wire.group_idx ?? null;
  if (wire.type === "BlockRemoved") return { type: wire.type, blockHashes, medium, groupIdx };
  return {
    type: wire.type,
    blockHashes,
    parentBlockHash: wire.parent_block_hash === null ? null : BigInt(wire.parent_block_hash),
    tokenIds: Uint32Array.from(wire.token_ids),
    blockSize: wire.block_size,
    loraId: wire.lora_id ?? null,
    loraName: wire.lora_name ?? null,
    medium,
    extraKeys: wire.extra_keys?.map((keys) => keys?.map(toExtraKey) ?? null) ?? null,
    groupIdx,
    kvCacheSpecKind: wire.kv_cache_spec_kind ?? null,
    kvCacheSpecSlidingWindow: wire.kv_cache_spec_sliding_window ?? null,
    cacheSalt: wire.metadata?.cache_salt ?? null,
  };
}

function toExtraKey(key: unknown): unknown {
  if (typeof key !== "object" || key === null || !("hex" in key)) return key;
  return fromHex(String(key.hex));
}
