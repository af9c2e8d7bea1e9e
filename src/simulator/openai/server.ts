import { type Clock, systemClock } from "../../clock.ts";
import { ConfigurationError } from "../../errors.ts";
import { type HttpServer, httpServer, type ListenAddress } from "../../server/listener.ts";
import { characterTokenizer } from "../../tokenizer/character.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { ServingEngine } from "../serving-engine.ts";
import type { ServingModelOptions } from "../serving-model.ts";
import type { SimulatedPod } from "../simulated-pod.ts";
import { createEngineApp } from "./app.ts";
import { engineMetrics } from "./metrics.ts";

export interface EngineServersOptions extends ServingModelOptions {
  /** Started ones; each gets a server of its own. */
  readonly pods: readonly SimulatedPod[];
  /** Default `127.0.0.1`. */
  readonly host?: string;
  /** Of the first engine; the others follow on the next ones. Default 0: free ones. */
  readonly port?: number;
  /** Of text. Stays open at the end. Default `characterTokenizer()`. */
  readonly tokenizer?: Tokenizer;
  /** Of an answer whose length the client leaves to the engine. Default 64. */
  readonly answerTokens?: number;
  /** Default the machine's. */
  readonly clock?: Clock;
}

/** One engine's API. */
export interface EngineServer extends ListenAddress {
  readonly pod: SimulatedPod;
}

/** Engines that listen. Disposing ends requests, connections and servers; the pods go on. */
export interface EngineServers extends AsyncDisposable {
  /** In the order of the pods. */
  readonly servers: readonly EngineServer[];
}

const MAX_PORT = 65_535;

/**
 * Gives simulated engines the HTTP API of vLLM: completions, chats, `/tokenize`, `/metrics`, at the pace of a
 * `ServingModel`, with hits of their own caches, whose events they publish.
 *
 * @throws ConfigurationError `invalid-option`, and the system's error where a port cannot be had; nothing is left open.
 */
export async function startEngineServers(options: EngineServersOptions): Promise<EngineServers> {
  const { pods, host = "127.0.0.1", port = 0 } = options;
  if (!Number.isSafeInteger(port) || port < 0 || port + (port === 0 ? 0 : pods.length - 1) > MAX_PORT) {
    const problem = `engine: HTTP port ${port} with ${pods.length} engines`;
    throw new ConfigurationError("invalid-option", `${problem}; use one from 0 that leaves room up to ${MAX_PORT}`);
  }
  const opened: AsyncDisposable[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.all(opened.splice(0).map((each) => each[Symbol.asyncDispose]()));
  };
  try {
    const servers: EngineServer[] = [];
    for (const [at, pod] of pods.entries()) {
      const { engine, server } = engineServer(pod, options);
      opened.push(engine, server);
      servers.push({ pod, ...(await server.listen({ host, port: port === 0 ? 0 : port + at })) });
    }
    return { servers, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function engineServer(pod: SimulatedPod, options: EngineServersOptions): { engine: ServingEngine; server: HttpServer } {
  const { tokenizer = characterTokenizer(), answerTokens = 64, clock = systemClock } = options;
  const { modelName, blockSize, capacityBlocks } = pod;
  const metrics = engineMetrics({ modelName, blockSize, capacityBlocks, loads: () => engine.loads() });
  const engine = new ServingEngine({ ...options, pod, clock, observer: metrics });
  const app = createEngineApp({
    modelName,
    tokenizer,
    engine,
    isRunning: () => pod.isRunning,
    registry: metrics.registry,
    answerTokens,
    nowSeconds: () => Date.now() / 1_000,
  });
  // A connection that cannot be accepted is its client's loss.
  return { engine, server: httpServer(app.fetch, () => {}) };
}
