import type { BlockStored, ExtraKey } from "../events/event.ts";
import type { Lora } from "./indexer.ts";

/** The adapter of a prompt without one. */
export const BASE_MODEL = -1;

/**
 * An adapter as the index names it. No adapter is −1, and so is every id below 1 and an empty name: vLLM's ids start
 * at 1 (`vllm/lora/request.py` refuses others), so that a 0 can only mean that the field was not filled.
 */
export function canonicalLora(lora: Lora): Lora {
  if (typeof lora === "string") return lora === "" ? BASE_MODEL : lora;
  return lora >= 1 ? lora : BASE_MODEL;
}

/** What an event says of its adapter. */
type Adapter = Pick<BlockStored, "loraName" | "loraId">;

/** The adapter of an event's blocks: its name, else its id, else the pod's own adapter. */
export function loraOf(event: Adapter, podLoraId: number): Lora {
  if (event.loraName !== null && event.loraName !== "") return event.loraName;
  if (event.loraId !== null && event.loraId >= 1) return event.loraId;
  return canonicalLora(podLoraId);
}

/**
 * The extra keys of one block of an event, without the adapter: vLLM puts its name (formerly its id) first in each
 * block's entry (`vllm/v1/core/kv_cache_utils.py`, `generate_block_hash_extra_keys`), and the context has it already.
 */
export function extraKeysOf(
  event: Adapter & Pick<BlockStored, "extraKeys">,
  blockIndex: number,
): readonly ExtraKey[] | null {
  const keys = event.extraKeys?.[blockIndex] ?? null;
  if (keys === null || keys.length === 0) return null;
  return isAdapter(keys[0], event) ? keys.slice(1) : keys;
}

function isAdapter(key: ExtraKey, event: Adapter): boolean {
  if (typeof key === "string") return key === event.loraName;
  return (typeof key === "number" || typeof key === "bigint") && Number(key) === event.loraId;
}

/**
 * What a prompt's first block chains on, besides its tokens: the strings among its extra keys, the salt being one of
 * them. vLLM puts the salt there, SGLang sends it apart, a query names it `cacheSalt`: all three give the same key.
 * Empty when there is nothing.
 */
export function rootKey(firstBlockKeys: readonly ExtraKey[] | null, cacheSalt: string | null): string {
  const strings = firstBlockKeys?.filter((key) => typeof key === "string") ?? [];
  if (cacheSalt !== null && cacheSalt !== "" && !strings.includes(cacheSalt)) strings.push(cacheSalt);
  return strings.length === 0 ? "" : encodeKey(strings);
}

/** What a block has in its own hash besides its tokens; of the first block without what `rootKey` took. Empty: nothing. */
export function extraKey(keys: readonly ExtraKey[] | null, isFirstBlock: boolean): string {
  if (keys === null || keys.length === 0) return "";
  const own = isFirstBlock ? keys.filter((key) => typeof key !== "string") : keys;
  return own.length === 0 ? "" : encodeKey(own);
}

/**
 * A text for any value that MessagePack can hold: equal values give equal texts (integers as number or bigint, maps in
 * any order, as `Map` or object), different values different ones, since each part says its kind and length.
 */
export function encodeKey(value: unknown): string {
  const parts: string[] = [];
  // A list of what is left instead of recursion: nesting comes from the network and may be deeper than the stack.
  const rest: unknown[] = [value];
  while (rest.length > 0) {
    const next = rest.pop();
    if (Array.isArray(next)) {
      parts.push(`a${next.length}:`);
      for (let i = next.length - 1; i >= 0; i--) rest.push(next[i]);
    } else if (isMap(next)) {
      const entries = sortedEntries(next);
      parts.push(`m${entries.length}:`);
      for (const [key, item] of entries.reverse()) rest.push(item, key);
    } else {
      parts.push(encodeScalar(next));
    }
  }
  return parts.join("");
}

function isMap(value: unknown): value is object {
  return typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && !(value instanceof Date);
}

function sortedEntries(map: object): [unknown, unknown][] {
  const entries: [unknown, unknown][] = map instanceof Map ? [...map] : Object.entries(map);
  return entries
    .map((entry) => ({ entry, order: encodeKey(entry[0]) }))
    .sort((left, right) => (left.order < right.order ? -1 : 1))
    .map(({ entry }) => entry);
}

function encodeScalar(value: unknown): string {
  if (typeof value === "string") return `s${value.length}:${value}`;
  if (typeof value === "bigint") return `i${value};`;
  if (typeof value === "number") return Number.isInteger(value) ? `i${BigInt(value)};` : `d${value};`;
  if (value === null) return "n";
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return `b${bytes.length}:${bytes.toString("latin1")}`;
  }
  if (value instanceof Date) return `e${value.getTime()};`;
  return `${typeof value}:${String(value)};`;
}
