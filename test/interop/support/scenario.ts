import assert from "node:assert/strict";
import type { Daemon, StreamState } from "./daemon.ts";
import { type Comparison, compare } from "./divergence.ts";
import type { Engine, Truth } from "./engine.ts";
import { until } from "./until.ts";

/** Engines by the names under which the daemon knows them. */
export type Engines = Readonly<Record<string, Engine>>;

/** Resolves when the daemon has applied everything that the pod's ranks published, and has nothing left to do. */
export async function caughtUp(
  daemon: Daemon,
  pod: string,
  nextSequences: readonly number[],
  statuses: readonly string[] = ["live"],
): Promise<readonly StreamState[]> {
  return await until(
    `${pod} has applied everything before ${nextSequences} and is ${statuses}`,
    () => daemon.streams(pod),
    (streams) =>
      streams.length === nextSequences.length &&
      streams.every(({ rank, lastSequence, status }) => {
        const last = nextSequences[rank]! - 1;
        // A rank that published nothing has no last sequence.
        return statuses.includes(status) && (lastSequence ?? -1) === last;
      }),
  );
}

/**
 * Resolves when the pod's subscription reached the engine, which cannot be seen from outside but by what comes through.
 * The engine, which has to be empty, publishes that it is.
 */
export async function joined(daemon: Daemon, pod: string, engine: Engine): Promise<void> {
  await until(
    `${pod} is heard`,
    async () => {
      for (const rank of engine.endpoints.keys()) await engine.reset(rank);
      return daemon.streams(pod);
    },
    (streams) => streams.length > 0 && streams.every(({ lastSequence }) => lastSequence !== null),
  );
}

/** What the engines hold, and what the daemon says that they hold. */
export async function comparison(daemon: Daemon, engines: Engines, past: readonly Truth[] = []): Promise<Comparison> {
  const truths = new Map<string, Truth>();
  for (const [pod, engine] of Object.entries(engines)) truths.set(pod, await engine.truth());
  return await compare(daemon.query, truths, past);
}

/** The daemon's answers are the engines' truth. There has to be something to be found, and something not to be. */
export async function assertSame(daemon: Daemon, engines: Engines, past: readonly Truth[] = []): Promise<Comparison> {
  const compared = await comparison(daemon, engines, past);
  assert.deepEqual(compared.divergence.slice(0, 5), [], `${compared.divergence.length} answers differ`);
  assert.ok(compared.blocks > 0, "the engines hold nothing");
  assert.ok(compared.incomplete > 0, "the engines hold all that they ever held");
  return compared;
}
