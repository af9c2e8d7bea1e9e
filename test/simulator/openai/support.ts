import OpenAI from "openai";
import { type EngineServersOptions, startEngineServers } from "../../../src/simulator/openai/server.ts";
import { SimulatedPod, type SimulatedPodOptions } from "../../../src/simulator/simulated-pod.ts";
import { memory } from "../../../transports/memory/index.ts";

export interface EngineBench extends AsyncDisposable {
  readonly url: string;
  readonly pod: SimulatedPod;
  readonly client: OpenAI;
  /** A sample of `/metrics`, over all ranks. */
  metric(name: string): Promise<number>;
  /** Resolves when a sample has this value. */
  untilMetric(name: string, value: number): Promise<void>;
}

/** Answers come at once. */
const FAST = { prefillTokensPerSecond: 1e9, decodeTokensPerSecond: 1e9 };

/** An engine that listens, and OpenAI's own client of it. */
export async function engineBench(
  options: Omit<EngineServersOptions, "pods"> = {},
  podOptions: Partial<SimulatedPodOptions> = {},
): Promise<EngineBench> {
  const pod = new SimulatedPod({
    key: "ns/engine",
    modelName: "m",
    transport: memory(),
    endpoints: [{ endpoint: "inproc://engine" }],
    ...podOptions,
  });
  await pod.start();
  const http = await startEngineServers({ pods: [pod], ...FAST, ...options });
  const { url } = http.servers[0]!;
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`${url}/metrics`)).text();
    const samples = text.split("\n").filter((line) => line.startsWith(`vllm:${name}{`));
    return samples.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  };
  return {
    url,
    pod,
    client: new OpenAI({ apiKey: "none", baseURL: `${url}/v1`, maxRetries: 0 }),
    metric,
    untilMetric: async (name, value) => {
      while ((await metric(name)) !== value);
    },
    async [Symbol.asyncDispose]() {
      await http[Symbol.asyncDispose]();
      await pod.stop();
    },
  };
}
