import type { Pod } from "../discovery/discovery.ts";
import { KVEventSyncError } from "../errors.ts";
import { decodeEventBatch } from "../events/decode.ts";
import { END_OF_REPLAY, parseLiveMessage, parseReplayMessage } from "../sync/framing.ts";
import type { Recorded } from "./format.ts";
import type { PodChange } from "./recorder.ts";

/** What a recording holds of one endpoint. */
export interface InspectedEndpoint {
  readonly endpoint: string;
  /** `subscriber`: live events; `dealer`: replays. */
  readonly type: string;
  /** `pod rank`, where a pod was announced with it. */
  readonly stream: string | null;
  connections: number;
  messages: number;
  bytes: number;
  /** By type. */
  readonly events: Record<string, number>;
  firstSequence: number | null;
  lastSequence: number | null;
  /** Sequences that do not follow the one before: losses, or another process where they go back. */
  gaps: number;
  restarts: number;
  /** The first few of them, with the reason. */
  readonly undecodable: string[];
  undecodableMessages: number;
}

/** What a recording holds. */
export interface Inspection {
  readonly sessions: number;
  readonly records: number;
  readonly pods: readonly string[];
  /** Milliseconds since 1970; `null` for an empty recording. */
  readonly firstMs: number | null;
  readonly lastMs: number | null;
  readonly endpoints: readonly InspectedEndpoint[];
}

/** One message in words. */
export interface DescribedMessage {
  readonly timeMs: number;
  readonly endpoint: string;
  readonly stream: string | null;
  readonly text: string;
}

const SHOWN_ERRORS = 5;

/** Goes through a recording; `onMessage` hears of each message that was received. */
export async function inspectRecording(
  records: AsyncIterable<Recorded>,
  onMessage: (message: DescribedMessage) => void = () => {},
): Promise<Inspection> {
  const inspector = new Inspector(onMessage);
  for await (const recorded of records) inspector.take(recorded);
  return inspector.result();
}

class Inspector {
  readonly #onMessage: (message: DescribedMessage) => void;
  readonly #endpoints = new Map<string, InspectedEndpoint>();
  readonly #sockets = new Map<number, InspectedEndpoint>();
  /** Streams by endpoint. */
  readonly #streams = new Map<string, string>();
  readonly #pods = new Set<string>();
  #sessions = 0;
  #records = 0;
  #firstMs: number | null = null;
  #lastMs: number | null = null;

  constructor(onMessage: (message: DescribedMessage) => void) {
    this.#onMessage = onMessage;
  }

  take(recorded: Recorded): void {
    this.#records++;
    this.#firstMs ??= recorded.timeMs;
    this.#lastMs = recorded.timeMs;
    const { kind, socket, json } = recorded;
    if (kind === "session") this.#sessions++;
    else if (kind === "pod") this.#takePod((json as PodChange).pod);
    else if (kind === "socket") this.#sockets.set(socket, this.#endpoint(json as { type: string; endpoint: string }));
    else if (kind === "closed") this.#sockets.delete(socket);
    else if (kind === "connection" && (json as { status: string }).status === "ready") this.#connected(socket);
    else if (kind === "received") this.#received(recorded);
  }

  result(): Inspection {
    return {
      sessions: this.#sessions,
      records: this.#records,
      pods: [...this.#pods],
      firstMs: this.#firstMs,
      lastMs: this.#lastMs,
      endpoints: [...this.#endpoints.values()],
    };
  }

  #takePod({ key, ranks }: Pod): void {
    this.#pods.add(key);
    for (const { rank, endpoint, replayEndpoint } of ranks) {
      this.#streams.set(endpoint, `${key} ${rank}`);
      if (replayEndpoint !== undefined) this.#streams.set(replayEndpoint, `${key} ${rank}`);
    }
  }

  #endpoint({ type, endpoint }: { readonly type: string; readonly endpoint: string }): InspectedEndpoint {
    const known = this.#endpoints.get(`${type} ${endpoint}`);
    if (known !== undefined) return known;
    const none = { connections: 0, messages: 0, bytes: 0, gaps: 0, restarts: 0, undecodableMessages: 0 };
    const sequences = { firstSequence: null, lastSequence: null };
    const stream = this.#streams.get(endpoint) ?? null;
    const made: InspectedEndpoint = { endpoint, type, stream, ...none, ...sequences, events: {}, undecodable: [] };
    this.#endpoints.set(`${type} ${endpoint}`, made);
    return made;
  }

  #connected(socket: number): void {
    const endpoint = this.#sockets.get(socket);
    if (endpoint !== undefined) endpoint.connections++;
  }

  #received({ socket, frames = [], timeMs }: Recorded): void {
    const endpoint = this.#sockets.get(socket);
    if (endpoint === undefined) return;
    endpoint.messages++;
    for (const frame of frames) endpoint.bytes += frame.length;
    const text = this.#describe(endpoint, frames);
    this.#onMessage({ timeMs, endpoint: endpoint.endpoint, stream: endpoint.stream, text });
  }

  #describe(endpoint: InspectedEndpoint, frames: readonly Uint8Array[]): string {
    try {
      const batch = endpoint.type === "dealer" ? parseReplayMessage(frames) : parseLiveMessage(frames);
      if (batch === END_OF_REPLAY) return "end of the replay";
      follow(endpoint, batch.sequence);
      const { batch: decoded, errors } = decodeEventBatch(batch.payload);
      for (const { type } of decoded.events) endpoint.events[type] = (endpoint.events[type] ?? 0) + 1;
      for (const error of errors) undecodable(endpoint, `batch ${batch.sequence}: ${error.message}`);
      const events = decoded.events.map((event) =>
        "blockHashes" in event ? `${event.type} ${event.blockHashes.length}` : event.type,
      );
      return `batch ${batch.sequence}: ${events.join(", ") || "no events"}${errors.map(({ message }) => `; ${message}`).join("")}`;
    } catch (error) {
      if (!(error instanceof KVEventSyncError)) throw error;
      undecodable(endpoint, error.message);
      return error.message;
    }
  }
}

function follow(endpoint: InspectedEndpoint, sequence: number): void {
  const { lastSequence: last } = endpoint;
  endpoint.firstSequence ??= sequence;
  endpoint.lastSequence = sequence;
  // Each replay begins where it was asked to.
  if (last === null || endpoint.type === "dealer") return;
  if (sequence < last) endpoint.restarts++;
  else if (sequence > last + 1) endpoint.gaps++;
}

function undecodable(endpoint: InspectedEndpoint, reason: string): void {
  endpoint.undecodableMessages++;
  if (endpoint.undecodable.length < SHOWN_ERRORS) endpoint.undecodable.push(reason);
}
