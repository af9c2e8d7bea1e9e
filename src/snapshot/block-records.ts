import type { ExportedBlock, Lora, Place } from "../indexer/indexer.ts";
import { dumpError } from "./errors.ts";

/** What many blocks of a chunk have in common. */
export interface BlockKind {
  readonly lora: Lora;
  readonly blockSize: number;
  /** Tier and group. */
  readonly places: readonly (readonly [string, number | null])[];
  /** Whether it has a chained hash. */
  readonly held: boolean;
  /** Whether it names a parent. */
  readonly child: boolean;
}

/** Blocks of one source in one line. */
export interface BlockChunk {
  readonly kinds: readonly BlockKind[];
  readonly count: number;
  /** Base64 of a record of `RECORD_BYTES` for each block. */
  readonly records: string;
}

/**
 * 8 bytes each, little-endian: the engine hash; the chained hash of a held block or the local hash of one that waits;
 * its proof or its parent's engine hash. Then the kind's number in 2.
 */
const RECORD_BYTES = 26;

/** A proof has 24 bits; what somebody else wrote must not have more. */
const PROOF_MASK = 0xff_ffffn;

/** Blocks in a line of some 36 KiB: many enough to be cheap, few enough that importing them takes no turn. */
export const CHUNK_BLOCKS = 1_024;

/** In characters of JSON; a broken engine's places must not make a line too long to be read again. */
const MAX_KINDS_TEXT = 65_536;

/** Packs blocks until a chunk is full. */
export class BlockPacker {
  readonly #bytes = new Uint8Array(CHUNK_BLOCKS * RECORD_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #numbers = new Map<string, number>();
  #kinds: BlockKind[] = [];
  #kindsText = 0;
  #count = 0;
  #lastText = "";
  #lastNumber = 0;

  /** `full`: take the chunk, and add the block again. `unfit`: its places take more than a line. */
  add(block: ExportedBlock): "added" | "full" | "unfit" {
    const kind = this.#numberOf(block);
    if (kind === undefined) return this.#count === 0 ? "unfit" : "full";
    if (this.#count === CHUNK_BLOCKS) return "full";
    const view = this.#view;
    const at = this.#count * RECORD_BYTES;
    view.setBigUint64(at, block.blockHash, true);
    const isHeld = block.chainedHash !== null;
    view.setBigUint64(at + 8, isHeld ? block.chainedHash : block.localHash, true);
    view.setBigUint64(at + 16, isHeld ? BigInt(block.proof) : (block.parentBlockHash ?? 0n), true);
    view.setUint16(at + 24, kind, true);
    this.#count++;
    return "added";
  }

  /** What was added since the last time; `null` for nothing. */
  take(): BlockChunk | null {
    if (this.#count === 0) return null;
    const records = Buffer.from(this.#bytes.buffer, 0, this.#count * RECORD_BYTES).toString("base64");
    const chunk = { kinds: this.#kinds, count: this.#count, records };
    this.#kinds = [];
    this.#kindsText = 0;
    this.#numbers.clear();
    this.#lastText = "";
    this.#count = 0;
    return chunk;
  }

  /** `undefined` where one more kind is too much for the chunk. */
  #numberOf(block: ExportedBlock): number | undefined {
    const { lora, blockSize, places } = block;
    const held = block.chainedHash !== null;
    const child = block.chainedHash === null && block.parentBlockHash !== null;
    const kind: BlockKind = { lora, blockSize, places: places.map(({ tier, group }) => [tier, group]), held, child };
    const text = JSON.stringify(kind);
    // Neighbours are alike.
    if (text === this.#lastText) return this.#lastNumber;
    let number = this.#numbers.get(text);
    if (number === undefined) {
      if (this.#kindsText + text.length > MAX_KINDS_TEXT) return undefined;
      number = this.#kinds.length;
      this.#kinds.push(kind);
      this.#kindsText += text.length;
      this.#numbers.set(text, number);
    }
    this.#lastText = text;
    this.#lastNumber = number;
    return number;
  }
}

/** Throws KVEventSyncError `corrupt-dump`. */
export function unpackBlocks({ kinds, count, records }: BlockChunk): ExportedBlock[] {
  const bytes = Buffer.from(records, "base64");
  if (bytes.length !== count * RECORD_BYTES) {
    throw dumpError(
      "corrupt-dump",
      `${bytes.length} bytes of blocks for ${count} of ${RECORD_BYTES} each; write it anew`,
    );
  }
  const placesOf = kinds.map(({ places }) => places.map(([tier, group]): Place => ({ tier, group })));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: count }, (_, i) => {
    const at = i * RECORD_BYTES;
    const number = view.getUint16(at + 24, true);
    const kind = kinds[number];
    if (kind === undefined)
      throw dumpError("corrupt-dump", `a block is of kind ${number} of ${kinds.length}; write it anew`);
    const { lora, blockSize } = kind;
    const named = { blockHash: view.getBigUint64(at, true), lora, blockSize, places: placesOf[number]! };
    const hash = view.getBigUint64(at + 8, true);
    const last = view.getBigUint64(at + 16, true);
    if (kind.held) return { ...named, chainedHash: hash, proof: Number(last & PROOF_MASK) };
    return { ...named, chainedHash: null, localHash: hash, parentBlockHash: kind.child ? last : null };
  });
}
