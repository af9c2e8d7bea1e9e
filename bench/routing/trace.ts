import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

/** Tokens that one `hash_id` of the trace stands for. */
const CHUNK_TOKENS = 512;
const VOCABULARY = 128_000;

/** A request of the trace. */
export interface TraceRequest {
  readonly atMs: number;
  readonly tokens: Uint32Array;
  readonly outputTokens: number;
  /** Tokens of its start that an earlier request of the trace had, too, in whole chunks. */
  readonly seenTokens: number;
}

/**
 * Reads a trace as Mooncake published it (FAST '25): a JSON object a line with `timestamp`, `input_length`,
 * `output_length` and `hash_ids`. The tokens of a chunk follow from its id alone; the last one is partial.
 */
export async function readTrace(path: string, limit: number): Promise<TraceRequest[]> {
  const requests: TraceRequest[] = [];
  const seen = new Set<number>();
  for await (const line of createInterface({ input: createReadStream(path) })) {
    if (requests.length >= limit) break;
    if (line.trim() === "") continue;
    const { timestamp, input_length: length, output_length: output, hash_ids: ids } = JSON.parse(line);
    const tokens = new Uint32Array(length);
    for (const [at, id] of (ids as number[]).entries()) fillChunk(tokens, at * CHUNK_TOKENS, id);
    let seenTokens = 0;
    for (const id of ids as number[]) {
      if (!seen.has(id)) break;
      seenTokens = Math.min(length, seenTokens + CHUNK_TOKENS);
    }
    for (const id of ids as number[]) seen.add(id);
    requests.push({ atMs: timestamp, tokens, outputTokens: Math.max(1, output), seenTokens });
  }
  return requests;
}

function fillChunk(tokens: Uint32Array, start: number, id: number): void {
  let state = Math.imul(id + 1, 0x9e3779b1);
  const end = Math.min(tokens.length, start + CHUNK_TOKENS);
  for (let at = start; at < end; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    tokens[at] = (state >>> 8) % VOCABULARY;
  }
}
