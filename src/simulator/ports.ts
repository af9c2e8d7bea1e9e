import { ConfigurationError } from "../errors.ts";
import type { SimulatedRankEndpoint } from "./simulated-pod.ts";

const MAX_PORT = 65_535;

export interface PortScheme {
  readonly engines: number;
  /** Per engine. */
  readonly ranks: number;
  readonly host: string;
  /** Of the first engine's first rank; 0 takes free ports for all. */
  readonly port: number;
  /** From a rank's PUB port to its ROUTER port. */
  readonly replayPortOffset: number;
}

/**
 * Where each engine's ranks publish. An engine takes `2 × ranks` ports in a row: rank r publishes on `port + r`, as in
 * vLLM, and replays on `replayPortOffset` above that; the offset is `ranks` unless said, so that the ROUTER ports follow
 * the PUB ports. With one rank: 5557 and 5558, 5559 and 5560, ….
 *
 * @throws ConfigurationError `invalid-option` where two sockets would get one port, or one above 65535.
 */
export function endpointsOf(scheme: PortScheme): readonly (readonly SimulatedRankEndpoint[])[] {
  const { engines, ranks, host, port, replayPortOffset } = scheme;
  const used = new Set<number>();
  const take = (wanted: number): string => {
    if (port === 0) return `tcp://${host}:0`;
    if (used.has(wanted) || wanted > MAX_PORT) {
      const problem = wanted > MAX_PORT ? `is above ${MAX_PORT}` : "is used twice";
      throw new ConfigurationError(
        "invalid-option",
        `simulation: port ${wanted} ${problem} (engines ${engines}, ranks ${ranks}, port ${port}, replayPortOffset ${replayPortOffset}); choose another port or offset`,
      );
    }
    used.add(wanted);
    return `tcp://${host}:${wanted}`;
  };
  return Array.from({ length: engines }, (_, engine) =>
    Array.from({ length: ranks }, (_, rank) => {
      const publishPort = port + engine * 2 * ranks + rank;
      return { rank, endpoint: take(publishPort), replayEndpoint: take(publishPort + replayPortOffset) };
    }),
  );
}
