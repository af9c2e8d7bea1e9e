import { WasmRecords } from "./wasm-records.ts";

/** Chained hashes, and the blocks that are found by them. */
export type HashedBlocks = Pick<BlockRun, "hashes" | "blocks" | "wasm">;

/**
 * Some blocks of one prompt, one after the other, as columns: what is done with all of them is done in one loop after another.
 * Such a loop makes its bounds words first (`| 0`): V8 would else take them, and what it counts, for tagged numbers in each step.
 */
export class BlockRun {
  /** Pairs of words: local hashes, chained ones, and the engine's names. */
  locals: Int32Array = new Int32Array(256);
  hashes: Int32Array = new Int32Array(256);
  names: Int32Array = new Int32Array(256);
  /** See `proofOf`. */
  proofs: Int32Array = new Int32Array(128);
  blocks: Int32Array = new Int32Array(128);
  holdings: Int32Array = new Int32Array(128);
  /** Where the columns are, if they are beside the records. */
  wasm: WasmRecords | null = null;

  /** Makes room for so many blocks, if that can be beside the records of `wasm`. What stands there is lost. */
  reserve(count: number, wasm: WasmRecords | null = null): void {
    if (wasm !== null && count <= WasmRecords.mostBlocks) {
      if (this.wasm !== wasm) this.#settle(wasm);
      return;
    }
    if (this.wasm === null && count <= this.blocks.length) return;
    this.wasm = null;
    const room = Math.max(128, 2 * count);
    this.locals = new Int32Array(2 * room);
    this.hashes = new Int32Array(2 * room);
    this.names = new Int32Array(2 * room);
    this.proofs = new Int32Array(room);
    this.blocks = new Int32Array(room);
    this.holdings = new Int32Array(room);
  }

  /** Copies local hashes to where chained ones come. */
  copyLocals(from: number, to: number): void {
    const { hashes, locals } = this;
    const end = (2 * to) | 0;
    for (let at = (2 * from) | 0; at < end; at++) hashes[at] = locals[at]!;
  }

  #settle(wasm: WasmRecords): void {
    this.wasm = wasm;
    const { locals, hashes, names, proofs, blocks, holdings } = wasm.columns;
    this.locals = locals;
    this.hashes = hashes;
    this.names = names;
    this.proofs = proofs;
    this.blocks = blocks;
    this.holdings = holdings;
  }
}
