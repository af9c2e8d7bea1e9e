import type { PodMatch, PrefixIndexer } from "../indexer/indexer.ts";
import { shortName } from "./story.ts";
import type { Line } from "./text.ts";
import { bar } from "./view.ts";

/** What one pod has of a prompt. */
export interface RouteCandidate {
  readonly pod: string;
  readonly matchedBlocks: number;
  readonly matchedTokens: number;
}

/** Where a prompt goes, and why. */
export interface Route {
  readonly promptTokens: number;
  readonly promptBlocks: number;
  /** Best first; of equals the first by name. */
  readonly candidates: readonly RouteCandidate[];
  /** The best one, if it holds anything. */
  readonly winner: RouteCandidate | null;
}

const BAR_COLUMNS = 20;

/** Asks the index which of these pods holds how much of the prompt. */
export function routePrompt(
  indexer: Pick<PrefixIndexer, "matchPrefix">,
  model: string,
  tokens: Uint32Array,
  blockSize: number,
  pods: readonly string[],
): Route {
  const matches = new Map<string, PodMatch>(
    indexer.matchPrefix(model, -1, tokens, new Set(pods)).map((match) => [match.pod, match]),
  );
  const candidates = pods
    .map((pod) => {
      const { matchedBlocks = 0, matchedTokens = 0 } = matches.get(pod) ?? {};
      return { pod, matchedBlocks, matchedTokens };
    })
    .sort((left, right) => right.matchedTokens - left.matchedTokens || (left.pod < right.pod ? -1 : 1));
  const [best] = candidates;
  return {
    promptTokens: tokens.length,
    promptBlocks: Math.floor(tokens.length / blockSize),
    candidates,
    winner: best !== undefined && best.matchedTokens > 0 ? best : null,
  };
}

/** `cachedTokens`: what the winner's engine found in its cache when it was given the prompt. */
export function renderRoute(route: Route, cachedTokens: number | null): readonly Line[] {
  const { promptTokens, promptBlocks, candidates, winner } = route;
  const width = Math.max(...candidates.map(({ pod }) => shortName(pod).length));
  return [
    [
      {
        text: `A conversation goes on: a prompt of ${promptTokens} tokens, ${promptBlocks} full blocks.`,
        style: "bold",
      },
      { text: " Who has it?" },
    ],
    ...candidates.map((candidate): Line => {
      const { pod, matchedBlocks, matchedTokens } = candidate;
      const blocks = `${matchedBlocks}/${promptBlocks}`.padStart(8);
      return [
        { text: `  ${shortName(pod).padEnd(width)}  ` },
        ...bar(promptBlocks === 0 ? 0 : matchedBlocks / promptBlocks, BAR_COLUMNS),
        { text: `${blocks} blocks  ${String(matchedTokens).padStart(6)} tokens` },
        ...(candidate === winner ? [{ text: "  ← here", style: "green" as const }] : []),
      ];
    }),
    [{ text: reasonOf(route) }],
    ...(winner === null || cachedTokens === null
      ? []
      : [[{ text: `${shortName(winner.pod)} was given the prompt and found ${cachedTokens} tokens in its cache.` }]]),
  ];
}

function reasonOf({ promptTokens, candidates, winner }: Route): string {
  if (winner === null) return "Nobody holds any of it: the least loaded pod would get it.";
  const left = promptTokens - winner.matchedTokens;
  const next = candidates[1];
  const compared = next === undefined ? "" : `, on the next best ${promptTokens - next.matchedTokens}`;
  return `The longest match wins: ${left} tokens left to compute${compared}.`;
}
