import type { MemoryRange } from "./growing-memory.ts";
import { WASM_RECORDS_CODE } from "./wasm-records-code.ts";

// What is needed of it; TypeScript has it among the types of browsers only.
declare const WebAssembly: {
  readonly Memory: new (pages: {
    readonly initial: number;
    readonly maximum: number;
    readonly shared: boolean;
  }) => { readonly buffer: SharedArrayBuffer };
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

interface Exports {
  readonly prove: (count: number, hasParent: number, parentLow: number, parentHigh: number) => void;
  readonly chain: (
    from: number,
    to: number,
    parentLow: number,
    parentHigh: number,
    lowMultiplier: number,
    highMultiplier: number,
  ) => void;
  readonly createHoldings: (
    from: number,
    to: number,
    upper: number,
    lower: number,
    places: number,
    free: number,
    next: number,
  ) => void;
  readonly findFollowing: (block: number, context: number, from: number, to: number) => number;
  readonly countLike: (block: number, most: number) => number;
  readonly createBlocks: (
    from: number,
    to: number,
    before: number,
    context: number,
    epoch: number,
    mayFollow: number,
    free: number,
    next: number,
  ) => number;
  readonly addHolders: (from: number, to: number, source: number, most: number) => number;
  readonly mention: (from: number, to: number, newer: number, epoch: number) => number;
  readonly release: (
    from: number,
    to: number,
    source: number,
    places: number,
    forgotten: number,
    free: number,
  ) => number;
  readonly free: (from: number, to: number, context: number, free: number) => number;
}

const PAGES = 1 << 16;
/** Blocks of a run, at most. */
const MOST_BLOCKS = 4096;

// Bytes where the columns begin, and the records: see wasm-records.wat.
const NAMES = 0;
const LOCALS = 32_768;
const HASHES = 65_536;
const PROOFS = 98_304;
const HOLDINGS = 114_688;
const BEFORE = 131_132;
const BLOCKS = 131_136;
const RESULTS = 163_840;
const BLOCK_RECORDS = 262_144;
const HOLDING_RECORDS = 1_879_310_400;

/**
 * The records of blocks and of holdings, each in a range of one memory, and the columns of a run; and what is done with many
 * of them at a time, by WebAssembly, which leaves the words that plain JavaScript leaves in more time: V8 looks at an array's
 * kind, place and length anew in each step of a loop. The code is made of `wasm-records.wat`.
 *
 * All of the memory, 4 GiB, is set aside at once, and none is used before it is written.
 */
export class WasmRecords {
  static readonly mostBlocks: number = MOST_BLOCKS;
  /** Fewer are proved and chained sooner by plain JavaScript. */
  static readonly fewestBlocks: number = 8;
  readonly blocks: MemoryRange;
  readonly holdings: MemoryRange;
  /** Columns, see `BlockRun`. */
  readonly columns: {
    readonly locals: Int32Array;
    readonly hashes: Int32Array;
    readonly names: Int32Array;
    readonly proofs: Int32Array;
    readonly blocks: Int32Array;
    readonly holdings: Int32Array;
  };
  /** The column of blocks, and before it a word for the one that comes before the first. */
  readonly mentioned: Int32Array;
  readonly #results: Int32Array;
  readonly steps: Exports;

  /** Throws where there is no WebAssembly, or no memory to be set aside. */
  constructor() {
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
    const { buffer } = memory;
    this.steps = new WebAssembly.Instance(module(), { records: { memory } }).exports as Exports;
    this.blocks = { buffer, start: BLOCK_RECORDS, bytes: HOLDING_RECORDS - BLOCK_RECORDS };
    this.holdings = { buffer, start: HOLDING_RECORDS, bytes: 2 ** 32 - HOLDING_RECORDS };
    this.columns = {
      locals: new Int32Array(buffer, LOCALS, 2 * MOST_BLOCKS),
      hashes: new Int32Array(buffer, HASHES, 2 * MOST_BLOCKS),
      names: new Int32Array(buffer, NAMES, 2 * MOST_BLOCKS),
      proofs: new Int32Array(buffer, PROOFS, MOST_BLOCKS),
      blocks: new Int32Array(buffer, BLOCKS, MOST_BLOCKS),
      holdings: new Int32Array(buffer, HOLDINGS, MOST_BLOCKS),
    };
    this.mentioned = new Int32Array(buffer, BEFORE, MOST_BLOCKS + 1);
    this.#results = new Int32Array(buffer, RESULTS, 5);
  }

  /** `null` where the constructor would throw, and on Windows, where memory that is set aside counts as taken. */
  static open(): WasmRecords | null {
    if (process.platform === "win32") return null;
    try {
      return new WasmRecords();
    } catch {
      return null;
    }
  }

  // After records were taken, or given back, by a step:
  /** See `Records`. */
  get firstFree(): number {
    return this.#results[0]!;
  }

  /** See `Records`. */
  get firstNew(): number {
    return this.#results[1]!;
  }

  // And after `release`:
  /** Holdings that were released. */
  get released(): number {
    return this.#results[2]!;
  }

  /** Blocks that the source has no other name for. */
  get lost(): number {
    return this.#results[3]!;
  }

  /** The number behind that of the last block that nobody holds any more. */
  get forgotten(): number {
    return this.#results[4]!;
  }
}

let shared: object | undefined;

/** Compiled once for the process. */
function module(): object {
  shared ??= new WebAssembly.Module(Buffer.from(WASM_RECORDS_CODE, "base64"));
  return shared;
}
