/**
 * Inference engines without a model, to try a router on: they publish KV-cache events, and replay them, as vLLM does,
 * through any transport.
 *
 * ```ts
 * import { startSimulation } from "kv-event-sync/simulator";
 * import { zmtp } from "kv-event-sync/transports/zmtp";
 *
 * await using simulation = await startSimulation({ transport: zmtp(), engines: 3 });
 * simulation.pods[0]?.ranks; // [{ rank: 0, endpoint: "tcp://127.0.0.1:5557", replayEndpoint: "tcp://127.0.0.1:5558" }]
 * await simulation.pods[1]?.restart();
 * ```
 */

export { type EncodeOptions, encodeEventBatch, type HashForm } from "../events/encode.ts";
export {
  type EngineOptions,
  type EngineRequest,
  type EngineResult,
  type PooledBlock,
  SimulatedEngine,
} from "./engine.ts";
export {
  type EngineServer,
  type EngineServers,
  type EngineServersOptions,
  startEngineServers,
} from "./openai/server.ts";
export { endpointsOf, type PortScheme } from "./ports.ts";
export { type EventPublisher, type EventPublisherOptions, startPublisher } from "./publisher.ts";
export { deriveSeed, type Random, randomInteger, seededRandom } from "./random.ts";
export type { ReplayFraming, ReplayOverflow } from "./replay-service.ts";
export {
  type Generation,
  type GenerationRequest,
  type RankLoad,
  ServingEngine,
  type ServingEngineOptions,
  type ServingObserver,
} from "./serving-engine.ts";
export { type ServedRequest, type ServingEvent, ServingModel, type ServingModelOptions } from "./serving-model.ts";
export {
  type PodResult,
  SimulatedPod,
  type SimulatedPodOptions,
  type SimulatedRankEndpoint,
} from "./simulated-pod.ts";
export { type Simulation, type SimulationCounters, type SimulationOptions, startSimulation } from "./simulation.ts";
export { ConversationWorkload, type WorkloadOptions, type WorkloadRequest } from "./workload.ts";
