import type { TransportError } from "../errors.ts";
import type { PodInfo, StreamInfo, StreamStatus } from "../sync/status.ts";
import type { ConnectionState } from "../transport.ts";

/**
 * Dynamo's states. `active`: there is a connection, and the stream is `catching-up`, `live` or `partial`; `failed`: the
 * last attempt failed or its connection was lost, and it is tried again, `last_error` telling why while that waits;
 * `pending`: all else, such as the first attempt. `paused` does not occur here.
 */
export type WorkerStatus = "pending" | "active" | "failed";

/** One rank of a worker. Beside Dynamo's first three fields, what its stream says. */
export interface WorkerListener {
  readonly endpoint: string;
  readonly status: WorkerStatus;
  readonly last_error?: string;
  readonly replay_endpoint?: string;
  readonly stream: StreamStatus;
  readonly first_sequence: number | null;
  readonly last_sequence: number | null;
  readonly idle_ms: number | null;
  readonly batches: number;
  readonly events: number;
  readonly missed_batches: number;
  readonly duplicate_batches: number;
  readonly decode_errors: number;
  readonly replays: number;
  readonly replay_failures: number;
  readonly restarts: number;
}

/** An instance as Dynamo's `GET /workers` lists it. */
export interface Worker {
  readonly instance_id: string;
  readonly source: "zmq";
  /** The worst of its ranks', as in Dynamo: `failed` before `pending` before `active`; `pending` where it has none. */
  readonly status: WorkerStatus;
  readonly model_name: string;
  readonly routing_group: string;
  readonly block_size: number | null;
  /** By rank. */
  readonly endpoints: Readonly<Record<string, string>>;
  readonly listeners: Readonly<Record<string, WorkerListener>>;
}

/** As `GET /workers` shows it. */
export function workerOf({ pod, streams }: PodInfo): Worker {
  const listeners = streams.map((stream): [number, WorkerListener] => [stream.rank, listenerOf(stream)]);
  return {
    instance_id: pod.key,
    source: "zmq",
    status: worstOf(listeners.map(([, { status }]) => status)),
    model_name: pod.modelName,
    routing_group: pod.routingGroup,
    block_size: pod.blockSize ?? null,
    endpoints: Object.fromEntries(pod.ranks.map(({ rank, endpoint }) => [rank, endpoint])),
    listeners: Object.fromEntries(listeners),
  };
}

function worstOf(statuses: readonly WorkerStatus[]): WorkerStatus {
  if (statuses.includes("failed")) return "failed";
  return statuses.length === 0 || statuses.includes("pending") ? "pending" : "active";
}

function statusOf({ status, connection }: StreamInfo): WorkerStatus {
  if (status !== "connecting") return "active";
  // An attempt after the first comes after one that failed.
  const isRepeated = connection?.status === "connecting" && connection.attempt > 1;
  return isRepeated || causeOf(connection) !== undefined ? "failed" : "pending";
}

function causeOf(connection: ConnectionState | undefined): TransportError | undefined {
  return connection !== undefined && "cause" in connection ? connection.cause : undefined;
}

function listenerOf(stream: StreamInfo): WorkerListener {
  const { endpoint, replayEndpoint } = stream;
  const cause = causeOf(stream.connection);
  return {
    endpoint,
    status: statusOf(stream),
    ...(cause !== undefined && { last_error: cause.message }),
    ...(replayEndpoint !== undefined && { replay_endpoint: replayEndpoint }),
    stream: stream.status,
    first_sequence: stream.firstSequence,
    last_sequence: stream.lastSequence,
    idle_ms: stream.idleMs === null ? null : Math.round(stream.idleMs),
    batches: stream.batches,
    events: stream.events,
    missed_batches: stream.missedBatches,
    duplicate_batches: stream.duplicateBatches,
    decode_errors: stream.decodeErrors,
    replays: stream.replays,
    replay_failures: stream.replayFailures,
    restarts: stream.restarts,
  };
}
