import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { freemem, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type AnswerUnit, wrongAnswers } from "./answers.ts";
import type { CONTESTANTS } from "./contestants.ts";
import type { Measured, Output } from "./measures.ts";
import type { PeerName } from "./peers.ts";
import { BLOCK_SIZE, type Workload } from "./workload.ts";
import { type Encoding, fileWorkload, writeWorkload } from "./workload-file.ts";

/** What a contender was given, so that only like is compared with like. */
export type Given = "maps" | "arrays" | "decoded events";

/** A program that takes in a workload and answers its questions. */
export interface Contender {
  readonly name: string;
  readonly given: Given;
  readonly command: string;
  /** The path of the workload follows. */
  readonly args: readonly string[];
  readonly file: Encoding;
  readonly unit: AnswerUnit;
  /** Of a Go program; all others have one thread for their work. */
  readonly processors: number;
  /** What has to be free before it is started: a machine without memory stands still for everybody. */
  readonly neededBytes: number;
}

/** What one run of one brought. */
export interface Reading extends Measured {
  /** Questions that it answered wrong. */
  readonly wrong: number;
}

/** What Node takes by itself where there is enough memory; and what tables of so many blocks need. */
const HEAP_MIB = 4_096;
const HEAP_BYTES_PER_BLOCK = 1_600;

/** AIBrix counts blocks in bytes, four to a token. */
const ENVIRONMENT = { AIBRIX_PREFIX_CACHE_BLOCK_SIZE: String(4 * BLOCK_SIZE) };
const RUN_LIMIT_MS = 600_000;

/** The program of llm-d had taken 22 GB of 10 M blocks when the machine's 23 were used up; what it needs was not seen. */
const LLMD_BYTES_PER_BLOCK = 3_000;
const OUTPUT_BYTES = 1 << 28;

/** Ours, the Maps, and the peers that there are, those that are given the same together. */
export function contendersOf(programs: ReadonlyMap<PeerName, string>, blocks: number): Contender[] {
  const heapMib = Math.max(HEAP_MIB, Math.ceil((blocks * HEAP_BYTES_PER_BLOCK) / 2 ** 20));
  const own = (name: string, kind: keyof typeof CONTESTANTS, given: Given, file: Encoding): Contender => ({
    name,
    given,
    command: process.execPath,
    args: [
      ...["--expose-gc", `--max-old-space-size=${heapMib}`, "--import", "tsx"],
      ...[fileURLToPath(new URL("contender.ts", import.meta.url)), kind],
    ],
    file,
    unit: "blocks",
    processors: 1,
    neededBytes: 0,
  });
  const peer = (name: PeerName, label: string, given: Given, processors: number): Contender[] => {
    const command = programs.get(name);
    if (command === undefined) return [];
    const unit = name === "aibrix" ? "per cent" : "blocks";
    const neededBytes = name === "llm-d" ? LLMD_BYTES_PER_BLOCK * blocks : 0;
    return [{ name: label, given, command, args: [], file: "array", unit, processors, neededBytes }];
  };
  const arrays = [
    ...peer("aibrix", "aibrix, one processor", "arrays", 1),
    ...peer("aibrix", "aibrix, 2 processors", "arrays", 2),
    ...peer("llm-d", "llm-d, one processor", "arrays", 1),
    ...peer("llm-d", "llm-d, 2 processors", "arrays", 2),
  ];
  const decoded = peer("dynamo", "dynamo", "decoded events", 1);
  return [
    own("ours", "ours", "maps", "map"),
    own("naive", "naive", "maps", "map"),
    ...(arrays.length === 0 ? [] : [own("ours", "ours", "arrays", "array"), ...arrays]),
    ...(decoded.length === 0 ? [] : [own("ours", "ours-decoded", "decoded events", "map"), ...decoded]),
  ];
}

/** Lets contenders take in one workload, each run from nothing. */
export class Arena implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "bench-index-"));
  readonly #workload: Workload;

  constructor(workload: Workload, encodings: ReadonlySet<Encoding>) {
    this.#workload = workload;
    for (const encoding of encodings) writeWorkload(this.#path(encoding), fileWorkload(workload, encoding));
  }

  /** Throws an `Error` where memory is short, or where the program ends in another way than with its reading. */
  async run({ command, args, file, unit, processors, neededBytes }: Contender): Promise<Reading> {
    const freeBytes = freemem();
    if (freeBytes < neededBytes) {
      throw new Error(`it may need ${neededBytes / 1e9} GB of memory, and ${(freeBytes / 1e9).toFixed(1)} are free`);
    }
    const options = {
      env: { ...process.env, ...ENVIRONMENT, GOMAXPROCS: String(processors) },
      timeout: RUN_LIMIT_MS,
      maxBuffer: OUTPUT_BYTES,
    };
    const { stdout } = await promisify(execFile)(command, [...args, this.#path(file)], options);
    const { answers, ...measured } = JSON.parse(stdout) as Output;
    return { ...measured, wrong: wrongAnswers(unit, this.#workload, answers) };
  }

  /** Removes the files. */
  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }

  #path(encoding: Encoding): string {
    return join(this.#folder, encoding);
  }
}
