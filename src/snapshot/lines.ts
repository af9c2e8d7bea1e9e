import { z } from "zod";
import type { AttentionGroup } from "../indexer/attention-groups.ts";
import type { PrefixIndexer } from "../indexer/indexer.ts";
import type { StreamState } from "../sync/stream-state.ts";
import type { BlockChunk } from "./block-records.ts";

/**
 * A dump is lines of JSON, the same in a file and over HTTP: a header, for each stream one line and then lines of its
 * blocks, and an end with counts and a checksum of all before it.
 */
export const DUMP_FORMAT = "kv-event-sync dump";

/** Of this release's dumps; it reads no others. */
export const DUMP_VERSION = 2;

/** No line that is written is longer. */
export const MAX_LINE_BYTES = 1_048_576;

const MAX_RANKS = 1_024;

const integer = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const hash = z.string().regex(/^[0-9a-f]{16}$/);

/** The first line. */
export interface HeaderLine {
  readonly type: "header";
  readonly format: string;
  readonly version: number;
  /** What seeds the hashes of all blocks in it. */
  readonly seed: string;
  /** The hash of a known prompt under that seed: another hash would give another one. */
  readonly probe: string;
}

/** The first line of a stream. */
export interface StreamLine {
  readonly type: "stream";
  readonly key: string;
  readonly model: string;
  readonly uid?: string | undefined;
  readonly restartCount?: number | undefined;
  readonly loraId: number;
  readonly topic: string;
  readonly rank: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly fingerprint: number;
  /** Whose blocks follow. */
  readonly ranks: readonly number[];
}

/** Blocks of one of the stream's ranks. */
export interface BlocksLine extends BlockChunk {
  readonly type: "blocks";
  readonly rank: number;
  /** Of the rank; absent where it has none. */
  readonly groups?: readonly AttentionGroup[] | undefined;
}

/** The last line. */
export interface EndLine {
  readonly type: "end";
  readonly streams: number;
  readonly blocks: number;
  /** Of all bytes before this line. */
  readonly sha256: string;
}

/** A line after the header. */
export type DumpLine = StreamLine | BlocksLine | EndLine;

// Not strict: another version's header may say more, and is told from a broken one.
const headerLine: z.ZodType<HeaderLine> = z.object({
  type: z.literal("header"),
  format: z.string(),
  version: z.number(),
  seed: z.string(),
  probe: z.string(),
});

const streamLine = z.strictObject({
  type: z.literal("stream"),
  key: z.string(),
  model: z.string(),
  uid: z.string().optional(),
  restartCount: z.number().int().optional(),
  loraId: z.number().int(),
  topic: z.string(),
  rank: integer,
  firstSequence: integer,
  lastSequence: integer,
  fingerprint: integer,
  ranks: z.array(integer).max(MAX_RANKS),
});

const kind = z
  .strictObject({
    lora: z.union([z.string(), z.number().int()]),
    blockSize: integer,
    places: z
      .array(z.tuple([z.string(), z.number().nullable()]))
      .min(1)
      .max(256),
    held: z.boolean(),
    child: z.boolean(),
  })
  .refine(({ held, blockSize }) => blockSize > 0 || !held, "a block without tokens cannot be held");

const group = z.strictObject({
  index: z.number().int(),
  kind: z.string().max(64).nullable(),
  slidingWindow: z.number().int().nullable(),
  blockSize: integer.min(1),
});

const blocksLine = z.strictObject({
  type: z.literal("blocks"),
  rank: integer,
  groups: z.array(group).max(64).optional(),
  kinds: z.array(kind).max(65_536),
  count: integer.max(65_536),
  records: z.string(),
});

const endLine = z.strictObject({ type: z.literal("end"), streams: integer, blocks: integer, sha256: z.string() });

const dumpLine: z.ZodType<DumpLine> = z.discriminatedUnion("type", [streamLine, blocksLine, endLine]);

/** The header in a value of JSON; `null` where it is none. */
export function asHeader(value: unknown): HeaderLine | null {
  return headerLine.safeParse(value).data ?? null;
}

/** The line after a header in a value of JSON, or what is wrong with it. */
export function asDumpLine(value: unknown): DumpLine | string {
  const parsed = dumpLine.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return `${issue?.path.join(".")} ${issue?.message}`;
}

/** The line for a stream. */
export function streamLineOf({ pod, rank, sources, ...mark }: StreamState): StreamLine {
  const { key, modelName: model, uid, restartCount, loraId, topic } = pod;
  const { firstSequence, lastSequence, fingerprint } = mark;
  return {
    type: "stream",
    key,
    model,
    ...(uid !== undefined && { uid }),
    ...(restartCount !== undefined && { restartCount }),
    loraId,
    topic,
    rank,
    firstSequence,
    lastSequence,
    fingerprint,
    ranks: sources.map((source) => source.rank),
  };
}

/** The stream of a line. */
export function streamOf(line: StreamLine): StreamState {
  const { key, model, uid, restartCount, loraId, topic, rank, firstSequence, lastSequence, fingerprint } = line;
  return {
    pod: {
      key,
      modelName: model,
      loraId,
      topic,
      ...(uid !== undefined && { uid }),
      ...(restartCount !== undefined && { restartCount }),
    },
    rank,
    firstSequence,
    lastSequence,
    fingerprint,
    sources: line.ranks.map((each) => ({ model, pod: key, rank: each, loraId })),
  };
}

/** The last line, as it is written: nothing of it may differ. */
export function endLineOf(streams: number, blocks: number, sha256: string): string {
  return JSON.stringify({ type: "end", streams, blocks, sha256 });
}

/** 16 digits. */
export function hex(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}

/** Of 16 digits; `null` for what is none. */
export function fromHex(text: string): bigint | null {
  return hash.safeParse(text).success ? BigInt(`0x${text}`) : null;
}

/** The hash of a prompt with all that a hash can cover, under the index's seed. */
export function probeOf(indexer: Pick<PrefixIndexer, "getPrefixHashes">): string {
  const tokens = Uint32Array.of(1, 70_000, 0, 4_294_967_295, 5, 6, 7, 8);
  const identity = {
    cacheSalt: "salt",
    extraKeys: [
      ["first", 1],
      ["image", null, 2n],
    ],
  };
  return hex(indexer.getPrefixHashes("probe", -1, tokens, 4, identity)[1]!);
}
