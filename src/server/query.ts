import type { PodMatch, PrefixIndexer } from "../indexer/indexer.ts";
import type { PodDirectory, PodInfo, StreamStatus } from "../sync/status.ts";
import type { HashQueryRequest, QueryRequest } from "./bodies.ts";
import { HttpError } from "./http-error.ts";
import type { Tokenized } from "./prompt.ts";

/** How much of the prompt one instance holds. */
export interface InstanceScore {
  /** In tokens, on its best rank, whatever the tier. */
  readonly longest_matched: number;
  /** In tokens, on its best rank; each tier with those before it. */
  readonly gpu: number;
  readonly cpu: number;
  readonly disk: number;
  /** In tokens, each weighed by the best tier that has it (`tierWeights`), on the rank where they weigh most. Not in Dynamo's answer. */
  readonly weighted: number;
  /** Present where an attention group does not say what it needs: the engine may find more. Not in Dynamo's answer. */
  readonly lower_bound?: true;
  /** In tokens on the GPU, by rank. */
  readonly dp: Readonly<Record<string, number>>;
  /** How far each rank's picture can be trusted: not in Dynamo's answer. */
  readonly streams: Readonly<Record<string, StreamStatus>>;
}

/** Dynamo's answer (`services/indexer/server.rs`). */
export interface QueryResponse {
  /** In tokens on the GPU, by instance and rank. */
  readonly scores: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /**
   * How many instances hold the prompt's i-th block, and all before it, on the GPU of their best rank. Each counts in
   * blocks of its own size.
   */
  readonly frequencies: readonly number[];
  /** Those that hold anything of the prompt; in no order, since JSON objects have none. */
  readonly instances: Readonly<Record<string, InstanceScore>>;
  /** Where the query had a prompt instead of tokens. */
  readonly tokenized?: Tokenized;
}

/** Asks the index. Throws HttpError 404 for a model that no known instance of the group serves. */
export function answerQuery(request: QueryRequest, indexer: PrefixIndexer, directory: PodDirectory): QueryResponse {
  const { tokens, model, lora, cacheSalt, extraKeys } = request;
  const identity = { ...(cacheSalt !== null && { cacheSalt }), ...(extraKeys !== null && { extraKeys }) };
  return answer(request, directory, (pods) => indexer.matchPrefix(model, lora, tokens, pods, identity));
}

/** The same by the hashes of a prompt. Throws as `answerQuery`. */
export function answerHashQuery(
  request: HashQueryRequest,
  indexer: PrefixIndexer,
  directory: PodDirectory,
): QueryResponse {
  const { hashes, blockSize, model, lora } = request;
  return answer(request, directory, (pods) => indexer.matchHashes(model, lora, hashes, blockSize, pods));
}

function answer(
  { model, routingGroup }: Pick<QueryRequest, "model" | "routingGroup">,
  directory: PodDirectory,
  match: (pods: ReadonlySet<string>) => readonly PodMatch[],
): QueryResponse {
  const known = new Map<string, PodInfo>();
  for (const info of directory.pods()) {
    if (info.pod.modelName === model && info.pod.routingGroup === routingGroup) known.set(info.pod.key, info);
  }
  if (known.size === 0) {
    throw new HttpError(
      404,
      `model_name is ${JSON.stringify(model)}: no instance of routing_group "${routingGroup}" serves it`,
    );
  }
  // Nobody can be sent to the others now.
  const pods = new Map([...known].filter(([, { pod }]) => pod.isRoutable ?? true));
  const matches = match(new Set(pods.keys()));
  const instances = matches.map((match): [string, InstanceScore] => [match.pod, scoreOf(match, pods.get(match.pod))]);
  return {
    scores: Object.fromEntries(instances.map(([pod, { dp }]) => [pod, dp])),
    frequencies: frequenciesOf(matches),
    instances: Object.fromEntries(instances),
  };
}

function scoreOf({ blockSize, matchedTokens, ranks }: PodMatch, info: PodInfo | undefined): InstanceScore {
  const best = (blocks: readonly number[]): number => Math.max(0, ...blocks) * blockSize;
  return {
    longest_matched: matchedTokens,
    gpu: best(ranks.map(({ gpuBlocks }) => gpuBlocks)),
    cpu: best(ranks.map(({ cpuBlocks }) => cpuBlocks)),
    disk: best(ranks.map(({ diskBlocks }) => diskBlocks)),
    weighted: best(ranks.map(({ weightedBlocks }) => weightedBlocks)),
    ...(ranks.some(({ isLowerBound }) => isLowerBound === true) && { lower_bound: true }),
    dp: Object.fromEntries(ranks.map(({ rank, gpuBlocks }) => [rank, gpuBlocks * blockSize])),
    streams: Object.fromEntries((info?.streams ?? []).map(({ rank, status }) => [rank, status])),
  };
}

function frequenciesOf(matches: readonly PodMatch[]): number[] {
  const lengths = matches.map(({ ranks }) => Math.max(0, ...ranks.map(({ gpuBlocks }) => gpuBlocks)));
  const frequencies = new Array<number>(Math.max(0, ...lengths)).fill(0);
  for (const length of lengths) if (length > 0) frequencies[length - 1]!++;
  // Who holds a block holds all before it.
  for (let block = frequencies.length - 2; block >= 0; block--) frequencies[block]! += frequencies[block + 1]!;
  return frequencies;
}
