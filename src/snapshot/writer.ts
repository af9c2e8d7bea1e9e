import { createHash } from "node:crypto";
import type { AttentionGroup } from "../indexer/attention-groups.ts";
import type { PrefixIndexer } from "../indexer/indexer.ts";
import type { StreamState } from "../sync/stream-state.ts";
import { BlockPacker } from "./block-records.ts";
import {
  type BlocksLine,
  DUMP_FORMAT,
  DUMP_VERSION,
  endLineOf,
  hex,
  MAX_LINE_BYTES,
  probeOf,
  streamLineOf,
} from "./lines.ts";

/** One stream of a dump: complete, and the same from its first line to its last. */
export interface EncodedStream {
  /** Each with its line feed. */
  readonly lines: readonly string[];
  readonly blocks: number;
}

/**
 * The lines of a stream and its blocks; yields after each line, where others may have a turn. `null` where an engine's
 * names would make a line that nobody reads again.
 */
export function* encodeStream(
  indexer: Pick<PrefixIndexer, "exportSource" | "exportGroups">,
  state: StreamState,
): Generator<void, EncodedStream | null> {
  const first = lineOf(streamLineOf(state));
  if (Buffer.byteLength(first) > MAX_LINE_BYTES) return null;
  const lines = [first];
  let blocks = 0;
  const packer = new BlockPacker();
  for (const source of state.sources) {
    const about = { type: "blocks", rank: source.rank, ...groupsOf(indexer.exportGroups(source)) };
    for (const block of indexer.exportSource(source)) {
      let outcome = packer.add(block);
      if (outcome === "full") {
        lines.push(lineOf({ ...about, ...packer.take() }));
        yield;
        outcome = packer.add(block);
      }
      if (outcome === "unfit") return null;
      blocks++;
    }
    const rest = packer.take();
    if (rest !== null) lines.push(lineOf({ ...about, ...rest }));
    yield;
  }
  return { lines, blocks };
}

/** Counts and checks what a dump is made of. */
export class DumpWriter {
  readonly #hash = createHash("sha256");
  #streams = 0;
  #blocks = 0;

  get streams(): number {
    return this.#streams;
  }

  get blocks(): number {
    return this.#blocks;
  }

  /** The first line. */
  header(indexer: Pick<PrefixIndexer, "seed" | "getPrefixHashes">): string {
    const header = { type: "header", format: DUMP_FORMAT, version: DUMP_VERSION };
    return this.#add(lineOf({ ...header, seed: hex(indexer.seed), probe: probeOf(indexer) }));
  }

  /** The lines of a stream. */
  *stream({ lines, blocks }: EncodedStream): IterableIterator<string> {
    this.#streams++;
    this.#blocks += blocks;
    for (const line of lines) yield this.#add(line);
  }

  /** The last line. */
  end(): string {
    return `${endLineOf(this.#streams, this.#blocks, this.#hash.digest("hex"))}\n`;
  }

  #add(line: string): string {
    this.#hash.update(line);
    return line;
  }
}

function groupsOf(groups: readonly AttentionGroup[]): Pick<BlocksLine, "groups"> {
  return groups.length === 0 ? {} : { groups };
}

function lineOf(value: object): string {
  return `${JSON.stringify(value)}\n`;
}
