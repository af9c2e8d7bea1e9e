import { Fleet, type FleetOptions } from "./fleet.ts";
import type { TraceRequest } from "./trace.ts";

const PROMPT_TOKENS = 8_192;
const WARM_UP = 500;
const ROUNDS = 3;

/** Milliseconds of a decision for a prompt of 8,192 tokens, p99 of real time, in a fleet whose index is full. */
export function routeP99(
  options: Pick<FleetOptions, "engines" | "blockSize" | "capacityBlocks" | "eventDelayMs" | "routing">,
  requests: readonly TraceRequest[],
): number {
  const fleet = new Fleet({ ...options, strategy: "cost-aware", isOracle: false });
  fleet.run(requests.slice(0, 2_000));
  const prompts = requests
    .slice(0, 4_000)
    .filter(({ tokens }) => tokens.length >= PROMPT_TOKENS)
    .map(({ tokens }) => tokens.subarray(0, PROMPT_TOKENS));
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const prompt of prompts) {
      const startedMs = performance.now();
      fleet.router.routeTokens({ model: "m", prompt }, prompt);
      times.push(performance.now() - startedMs);
    }
  }
  const sorted = times.slice(WARM_UP).sort((left, right) => left - right);
  return sorted[Math.floor(0.99 * sorted.length)] ?? Number.NaN;
}
