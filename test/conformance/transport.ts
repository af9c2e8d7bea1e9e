import { describe, test } from "node:test";
import type { Transport } from "../../src/transport.ts";
import { Bench, type ConformanceTest, obstacle, type TransportPair } from "./bench.ts";
import { deliveryTests } from "./delivery.ts";
import { flowTests } from "./flow.ts";
import { lifecycleTests } from "./lifecycle.ts";
import { requestTests } from "./request.ts";
import { stateTests } from "./states.ts";

export type { TransportPair } from "./bench.ts";

/** What a transport may need to be tested. */
export interface ConformanceSettings {
  /** An endpoint that can be bound and is free, a wildcard as well. @default () => "tcp://127.0.0.1:0" */
  readonly endpoint?: () => string;
  /** How long a test may take before it has failed. @default 30_000 // several times what the slowest needs */
  readonly timeoutMs?: number;
}

const GROUPS: Readonly<Record<string, readonly ConformanceTest[]>> = {
  delivery: deliveryTests,
  "requests and answers": requestTests,
  states: stateTests,
  flow: flowTests,
  "life and end": lifecycleTests,
};

/**
 * Registers what every transport has to do, through the seam alone. `make` gives a transport for each test, or a pair:
 * the one that binds and the one that connects. What a transport says that it cannot do is skipped, with the reason.
 */
export function transportConformance(
  name: string,
  make: () => Transport | TransportPair | Promise<Transport | TransportPair>,
  settings: ConformanceSettings = {},
): void {
  const { endpoint = () => "tcp://127.0.0.1:0", timeoutMs = 30_000 } = settings;
  for (const [group, tests] of Object.entries(GROUPS)) {
    describe(`${name}: ${group}`, () => {
      for (const { name: sentence, needs = [], run } of tests) {
        test(sentence, { timeout: timeoutMs }, async (t) => {
          const made = await make();
          const pair = "server" in made ? made : { server: made, client: made };
          const reason = obstacle(needs, pair);
          if (reason !== null) return t.skip(reason);
          const bench = new Bench(pair, endpoint);
          // A test that hangs without a handle has to fail by its time-out, not end the process.
          const alive = setInterval(() => {}, timeoutMs);
          try {
            await run(bench);
          } finally {
            clearInterval(alive);
            await bench.close();
          }
        });
      }
    });
  }
}
