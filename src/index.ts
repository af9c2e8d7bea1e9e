/**
 * Which inference engine holds which KV-cache blocks: follows the events of vLLM and SGLang engines and answers which pod
 * has the longest part of a prompt.
 *
 * ```ts
 * import { createStore } from "kv-event-sync";
 *
 * await using store = await createStore({
 *   endpoints: [{ endpoint: "tcp://10.0.0.1:5557", replayEndpoint: "tcp://10.0.0.1:5558", model: "llama" }],
 * });
 * await store.initKVEventSync();
 * await store.whenReady();
 * store.getSyncPrefixIndexer()?.matchPrefix("llama", -1, tokens);
 * ```
 */

export { type Clock, systemClock } from "./clock.ts";
export { createStore, createTransport, type StoreOptions } from "./container.ts";
export type {
  DeletedFinalStateUnknown,
  Discovery,
  Pod,
  PodListener,
  RankEndpoint,
} from "./discovery/discovery.ts";
export {
  type ClusterOptions,
  type IneligiblePod,
  type KubernetesOptions,
  type KubernetesPods,
  kubernetesPods,
  type WatchObserver,
  type WatchTrouble,
} from "./discovery/kubernetes.ts";
export {
  RegisteredPods,
  type RegisteredPodsOptions,
  type Registration,
  type Unregistration,
} from "./discovery/registered.ts";
export { podsOf, type StaticEndpoint, staticPods } from "./discovery/static.ts";
export {
  ConfigurationError,
  DecodeError,
  type DecodeErrorCode,
  KVEventSyncError,
  TokenizerError,
  type TokenizerErrorCode,
  TransportError,
  type TransportErrorCode,
} from "./errors.ts";
export { type DecodedBatch, decodeEventBatch } from "./events/decode.ts";
export { type EncodeOptions, encodeEventBatch, type HashForm } from "./events/encode.ts";
export {
  type AllBlocksCleared,
  type BlockHash,
  type BlockRemoved,
  type BlockStored,
  type EventBatch,
  type ExtraKey,
  type KVEvent,
  tierOf,
} from "./events/event.ts";
export { bytesToTokenIds, tokenIdsToBytes } from "./events/token-ids.ts";
export { Gateway, type GatewayParts, type Routed } from "./gateway/gateway.ts";
export type { GatewayOptions, GatewaySettings } from "./gateway/options.ts";
export type { AttentionGroup } from "./indexer/attention-groups.ts";
export type {
  BlockSource,
  ExportedBlock,
  HeldBlock,
  IndexStats,
  Lora,
  Place,
  PodMatch,
  PrefixIndexer,
  PromptIdentity,
  RankMatch,
  SourceStats,
} from "./indexer/indexer.ts";
export { SyncPrefixHashTable, type SyncPrefixHashTableOptions } from "./indexer/sync-prefix-hash-table.ts";
export { createMetrics, type Metrics, type MetricsOptions } from "./metrics.ts";
export type { ConnectionOptions, TransportName } from "./options.ts";
export type { ReconcilerObserver, ReconcilerOptions } from "./reconciler/reconciler.ts";
export { RecordingWriter, readRecording } from "./recording/file.ts";
export type { Recorded, RecordKind } from "./recording/format.ts";
export { type Played, type PlayOptions, playRecording } from "./recording/play.ts";
export { type PodChange, Recorder, type RecordSink } from "./recording/recorder.ts";
export type { ActiveRequest } from "./routing/load.ts";
export type { CostOptions, RoutingOptions, RoutingSettings } from "./routing/options.ts";
export {
  RequestRouter,
  type RequestRouterParts,
  type RouteDecision,
  type RouteRequest,
  type Scores,
} from "./routing/request-router.ts";
export type { RouteCandidate, Selection, StrategyName, StreamFreshness } from "./routing/strategy.ts";
export type { SnapshotObserver, SnapshotSize } from "./snapshot/observer.ts";
export type { WarmStartOptions } from "./snapshot/options.ts";
export { Store } from "./store.ts";
export { KVEventManager, type KVEventManagerParts } from "./sync/manager.ts";
export type { StreamOptions } from "./sync/options.ts";
export type {
  PodDirectory,
  PodInfo,
  PurgeReason,
  StreamId,
  StreamInfo,
  StreamStatus,
  SyncObserver,
} from "./sync/status.ts";
export { characterTokenizer } from "./tokenizer/character.ts";
export { type LocalTokenizerOptions, localTokenizer } from "./tokenizer/local.ts";
export {
  TokenizerPool,
  type TokenizerPoolObserver,
  type TokenizerPoolOptions,
  type TokenizerPoolStats,
} from "./tokenizer/pool.ts";
export { type RemoteTokenizerOptions, remoteTokenizer } from "./tokenizer/remote.ts";
export type { TokenizerSettings } from "./tokenizer/settings.ts";
export type {
  ChatMessage,
  ChatPrompt,
  Prompt,
  TextPrompt,
  Tokenization,
  TokenizeOptions,
  Tokenizer,
  TokenizerKind,
} from "./tokenizer/tokenizer.ts";
export type {
  ConnectionListener,
  ConnectionState,
  Dealer,
  Message,
  MessageBatch,
  Publisher,
  PublisherOptions,
  Receiver,
  Router,
  RouterOptions,
  Socket,
  SocketOptions,
  Subscriber,
  Transport,
  TransportCapabilities,
} from "./transport.ts";
