import { KVEventSyncError } from "../errors.ts";
import type { RequestRouter, RouteDecision, RouteRequest, Scores } from "../routing/request-router.ts";
import type { RouteCandidate, StreamFreshness } from "../routing/strategy.ts";
import { HttpError } from "./http-error.ts";
import type { Tokenized } from "./prompt.ts";

/** One candidate as JSON. */
export interface CandidateAnswer {
  readonly pod: string;
  readonly address: string | null;
  readonly matched_tokens: number;
  readonly match_percent: number;
  readonly weighted_tokens: number;
  readonly running_requests: number;
  readonly waiting_requests: number;
  readonly pending_tokens: number;
  readonly expected_ttft_ms: number;
  readonly streams: Readonly<
    Record<string, { status: StreamFreshness["status"]; last_sequence: number | null; idle_ms: number | null }>
  >;
}

/** The answer of `/score`. */
export interface ScoreAnswer {
  readonly prompt_tokens: number;
  readonly candidates: readonly CandidateAnswer[];
  /** Where the question had a prompt instead of tokens. */
  readonly tokenized?: Tokenized;
}

/** The answer of `/route`. */
export interface RouteAnswer extends ScoreAnswer {
  readonly pod: string;
  readonly address: string | null;
  readonly strategy: string;
  readonly selection: string;
  readonly reason: string;
}

/** Throws HttpError 404 for a model that nobody serves, 503 where nobody can take the request. */
export function answerRoute(router: RequestRouter, request: RouteRequest, tokens: Uint32Array): RouteAnswer {
  const { pod, address, strategy, selection, reason, ...scores } = told(() => router.routeTokens(request, tokens));
  return { pod, address, strategy, selection, reason, ...scoreAnswer(scores) };
}

/** Throws as `answerRoute`. */
export function answerScore(router: RequestRouter, request: RouteRequest, tokens: Uint32Array): ScoreAnswer {
  return scoreAnswer(told(() => router.scoreTokens(request, tokens)));
}

function told<T extends RouteDecision | Scores>(ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    if (!(error instanceof KVEventSyncError)) throw error;
    if (error.code === "unknown-model") throw new HttpError(404, error.message);
    if (error.code === "no-pod") throw new HttpError(503, error.message);
    throw error;
  }
}

function scoreAnswer({ promptTokens, candidates }: Scores): ScoreAnswer {
  return { prompt_tokens: promptTokens, candidates: candidates.map(candidateAnswer) };
}

function candidateAnswer(candidate: RouteCandidate): CandidateAnswer {
  const { pod, address, streams } = candidate;
  return {
    pod,
    address,
    matched_tokens: candidate.matchedTokens,
    match_percent: candidate.matchPercent,
    weighted_tokens: candidate.weightedTokens,
    running_requests: candidate.runningRequests,
    waiting_requests: candidate.waitingRequests,
    pending_tokens: candidate.pendingTokens,
    expected_ttft_ms: candidate.expectedTtftMs,
    streams: Object.fromEntries(
      Object.entries(streams).map(([rank, { status, lastSequence, idleMs }]) => [
        rank,
        { status, last_sequence: lastSequence, idle_ms: idleMs === null ? null : Math.round(idleMs) },
      ]),
    ),
  };
}
