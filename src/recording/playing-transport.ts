import { TransportError, type TransportErrorCode } from "../errors.ts";
import type {
  ConnectionState,
  Dealer,
  MessageBatch,
  SocketOptions,
  Subscriber,
  Transport,
  TransportCapabilities,
} from "../transport.ts";
import type { Recorded } from "./format.ts";

type SocketType = "subscriber" | "dealer";

const CAPABILITIES: TransportCapabilities = {
  schemes: ["tcp", "ipc", "inproc", "ws", "wss"],
  subscriberBinds: false,
  connectionStates: true,
  subscriptionEvents: false,
};

/**
 * Sockets to which a recording happens. The n-th socket of a kind to an endpoint is given what the n-th one was given
 * then; what nobody is there for is counted.
 */
export class PlayingTransport implements Transport {
  readonly name = "recording";
  readonly capabilities: TransportCapabilities = CAPABILITIES;
  /** Made and not yet met by the recording, by kind and endpoint. */
  readonly #waiting = new Map<string, PlayedSocket[]>();
  /** What the recording's sockets are now; `null`: nobody made that one this time. */
  readonly #played = new Map<number, PlayedSocket | null>();
  #unclaimed = 0;

  /** Messages for sockets that were not made this time. */
  get unclaimed(): number {
    return this.#unclaimed;
  }

  subscriber(options: SocketOptions = {}): Subscriber {
    return this.#open("subscriber", options);
  }

  dealer(options: SocketOptions = {}): Dealer {
    return this.#open("dealer", options);
  }

  publisher(): never {
    throw new TransportError("unsupported", "a recording is played: nothing can be published to it");
  }

  router(): never {
    throw new TransportError("unsupported", "a recording is played: nothing can be asked of it");
  }

  /** Whether the record has to wait: a socket is to be met that nobody has made yet, or one has messages that nobody has read. */
  isBehind({ kind, json }: Recorded): boolean {
    if (kind === "socket" && this.#waitingFor(json as SocketRecord).length === 0) return true;
    return this.hasUnread;
  }

  get hasUnread(): boolean {
    for (const socket of this.#played.values()) if (socket?.hasUnread) return true;
    return false;
  }

  /** Lets one record happen. Those that are of no socket are ignored. */
  play({ kind, socket: number, json, frames, connection = 0 }: Recorded): void {
    if (kind === "socket") {
      this.#played.set(number, this.#waitingFor(json as SocketRecord).shift() ?? null);
      return;
    }
    const socket = this.#played.get(number);
    if (kind === "closed") this.#played.delete(number);
    else if (kind === "received" && frames !== undefined) {
      if (socket === undefined || socket === null || socket.isClosed) this.#unclaimed++;
      else socket.receives({ connectionId: connection, messages: [frames] });
    } else if (kind === "connection") socket?.becomes(stateOf(json as StoredState));
  }

  #open(type: SocketType, options: SocketOptions): PlayedSocket {
    return new PlayedSocket(options, (socket, endpoint) => {
      const key = keyOf(type, endpoint);
      const waiting = this.#waiting.get(key) ?? [];
      waiting.push(socket);
      this.#waiting.set(key, waiting);
    });
  }

  /** Those that are open: what a timer asked for that rang in time now, and late then, may be over. */
  #waitingFor({ type, endpoint }: SocketRecord): PlayedSocket[] {
    const waiting = (this.#waiting.get(keyOf(type, endpoint)) ?? []).filter(({ isClosed }) => !isClosed);
    this.#waiting.set(keyOf(type, endpoint), waiting);
    return waiting;
  }
}

/** What a record of a socket says. */
interface SocketRecord {
  readonly type: SocketType;
  readonly endpoint: string;
}

/** A connection's state as JSON has it. */
type StoredState = { readonly status: string; readonly cause?: { readonly code: string; readonly message: string } };

function stateOf({ cause, ...state }: StoredState): ConnectionState {
  if (cause === undefined) return state as ConnectionState;
  return { ...state, cause: new TransportError(cause.code as TransportErrorCode, cause.message) } as ConnectionState;
}

function keyOf(type: SocketType, endpoint: string): string {
  return `${type} ${endpoint}`;
}

/** A subscriber or a dealer: what is sent goes nowhere, for the answers are known. */
class PlayedSocket implements Subscriber, Dealer {
  readonly #options: SocketOptions;
  readonly #onConnect: (socket: PlayedSocket, endpoint: string) => void;
  readonly #batches: MessageBatch[] = [];
  #endpoint = "";
  #wake: () => void = () => {};
  isClosed = false;

  constructor(options: SocketOptions, onConnect: (socket: PlayedSocket, endpoint: string) => void) {
    this.#options = options;
    this.#onConnect = onConnect;
  }

  get hasUnread(): boolean {
    return !this.isClosed && this.#batches.length > 0;
  }

  connect(endpoint: string): void {
    this.#endpoint = endpoint;
    this.#onConnect(this, endpoint);
  }

  disconnect(): void {}
  subscribe(): void {}
  unsubscribe(): void {}
  send(): void {}

  bind(): Promise<string> {
    return Promise.reject(new TransportError("unsupported", "a recording is played: nobody connects to it"));
  }

  async *receive(): AsyncGenerator<MessageBatch> {
    while (!this.isClosed) {
      const batch = this.#batches.shift();
      if (batch !== undefined) yield batch;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.#wake();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  receives(batch: MessageBatch): void {
    this.#batches.push(batch);
    this.#wake();
  }

  becomes(state: ConnectionState): void {
    if (!this.isClosed) this.#options.onConnection?.(this.#endpoint, state);
  }
}
