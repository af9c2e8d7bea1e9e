import { createHash } from "node:crypto";
import type { AttentionGroup } from "../indexer/attention-groups.ts";
import type { BlockSource, ExportedBlock } from "../indexer/indexer.ts";
import type { StreamState } from "../sync/stream-state.ts";
import { unpackBlocks } from "./block-records.ts";
import { dumpError } from "./errors.ts";
import {
  asDumpLine,
  asHeader,
  type BlocksLine,
  DUMP_FORMAT,
  DUMP_VERSION,
  type DumpLine,
  type EndLine,
  endLineOf,
  fromHex,
  MAX_LINE_BYTES,
  type StreamLine,
  streamOf,
} from "./lines.ts";

/** What a dump tells, in order. Nothing of it holds before `end`. */
export type DumpItem =
  | { readonly type: "header"; readonly seed: bigint; readonly probe: string }
  | { readonly type: "stream"; readonly state: StreamState }
  | {
      readonly type: "blocks";
      readonly source: BlockSource;
      readonly blocks: readonly ExportedBlock[];
      readonly groups: readonly AttentionGroup[];
    }
  | { readonly type: "end"; readonly streams: number; readonly blocks: number };

/** More than any daemon follows. */
const MAX_SOURCES = 100_000;

const LINE_FEED = 0x0a;

/** Reads a dump, in whatever pieces it comes. */
export class DumpReader {
  readonly #hash = createHash("sha256");
  /** Of a line whose end has not come. */
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  #state: "header" | "streams" | "ended" = "header";
  #stream: StreamState | null = null;
  readonly #sources = new Set<string>();
  #streams = 0;
  #blocks = 0;

  /** What the bytes bring. Throws KVEventSyncError `corrupt-dump` and `foreign-dump`. */
  *push(bytes: Uint8Array): IterableIterator<DumpItem> {
    let start = 0;
    for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
      this.#keep(bytes.subarray(start, end));
      start = end + 1;
      yield this.#read(this.#takeLine());
    }
    if (start < bytes.length) this.#keep(bytes.slice(start));
  }

  /** There are no more bytes. Throws KVEventSyncError `truncated-dump`. */
  finish(): void {
    if (this.#state === "ended") return;
    throw dumpError("truncated-dump", `ends after ${this.#streams} streams without its last line; write it anew`);
  }

  #keep(part: Uint8Array): void {
    if (this.#state === "ended") throw dumpError("corrupt-dump", "goes on after its last line; write it anew");
    this.#partBytes += part.length;
    if (this.#partBytes > MAX_LINE_BYTES) {
      const code = this.#state === "header" ? "foreign-dump" : "corrupt-dump";
      throw dumpError(code, `a line is longer than ${MAX_LINE_BYTES} bytes; this is no dump, or not as it was written`);
    }
    this.#parts.push(part);
  }

  #takeLine(): Buffer {
    const line = this.#parts.length === 1 ? Buffer.from(this.#parts[0]!) : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partBytes = 0;
    return line;
  }

  #read(line: Buffer): DumpItem {
    if (this.#state === "header") return this.#readHeader(line);
    const parsed = parseLine(line);
    if (parsed.type === "end") return this.#readEnd(line, parsed);
    this.#addToHash(line);
    return parsed.type === "stream" ? this.#readStream(parsed) : this.#readBlocks(parsed);
  }

  #addToHash(line: Buffer): void {
    this.#hash.update(line).update("\n");
  }

  #readHeader(line: Buffer): DumpItem {
    const header = asHeader(jsonOf(line));
    if (header?.format !== DUMP_FORMAT) {
      throw dumpError("foreign-dump", `begins with ${shown(line)}; give what kv-event-sync dumped`);
    }
    const { version, seed: seedText, probe } = header;
    if (version !== DUMP_VERSION) {
      throw dumpError("foreign-dump", `is of version ${version}, this release reads ${DUMP_VERSION}; start cold once`);
    }
    const seed = fromHex(seedText);
    if (seed === null) throw dumpError("corrupt-dump", `seed is ${JSON.stringify(seedText)}; write it anew`);
    this.#addToHash(line);
    this.#state = "streams";
    return { type: "header", seed, probe };
  }

  #readStream(line: StreamLine): DumpItem {
    const state = streamOf(line);
    for (const source of state.sources) {
      const id = JSON.stringify([source.model, source.pod, source.rank]);
      if (this.#sources.has(id)) throw dumpError("corrupt-dump", `has ${id} twice; write it anew`);
      this.#sources.add(id);
    }
    if (this.#sources.size > MAX_SOURCES) {
      throw dumpError("corrupt-dump", `has more than ${MAX_SOURCES} ranks, which no daemon follows`);
    }
    this.#streams++;
    this.#stream = state;
    return { type: "stream", state };
  }

  #readBlocks(line: BlocksLine): DumpItem {
    const source = this.#stream?.sources.find(({ rank }) => rank === line.rank);
    if (source === undefined) throw dumpError("corrupt-dump", `blocks of rank ${line.rank} stand alone; write it anew`);
    const blocks = unpackBlocks(line);
    this.#blocks += blocks.length;
    return { type: "blocks", source, blocks, groups: line.groups ?? [] };
  }

  #readEnd(line: Buffer, { sha256 }: EndLine): DumpItem {
    const actual = this.#hash.digest("hex");
    // To the letter: a changed last line is a change as well.
    if (line.toString("latin1") !== endLineOf(this.#streams, this.#blocks, actual)) {
      throw dumpError(
        "corrupt-dump",
        `checksum is ${sha256}, its content's is ${actual}; it was changed since, write it anew`,
      );
    }
    this.#state = "ended";
    return { type: "end", streams: this.#streams, blocks: this.#blocks };
  }
}

function parseLine(line: Buffer): DumpLine {
  const parsed = asDumpLine(jsonOf(line));
  if (typeof parsed !== "string") return parsed;
  throw dumpError("corrupt-dump", `line ${shown(line)}: ${parsed}; write it anew`);
}

/** `undefined` for what is none. */
function jsonOf(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString());
  } catch {
    return undefined;
  }
}

function shown(line: Buffer): string {
  const text = line.subarray(0, 60).toString("latin1");
  return JSON.stringify(line.length > 60 ? `${text}…` : text);
}
