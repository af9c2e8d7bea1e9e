import type { DeletedFinalStateUnknown, Discovery, Pod, PodListener } from "../discovery/discovery.ts";
import type {
  ConnectionState,
  Dealer,
  Message,
  MessageBatch,
  Receiver,
  SocketOptions,
  Subscriber,
  Transport,
} from "../transport.ts";
import type { Recorded } from "./format.ts";

/** Where records go. */
export interface RecordSink {
  write(recorded: Recorded): void;
}

/** What is recorded of a pod. */
export interface PodChange {
  readonly change: "add" | "delete";
  readonly pod: Pod;
}

/**
 * Writes down what passes between a manager and its surroundings: the messages of its transport, and the pods of its
 * discoveries. Neither the manager nor they notice.
 */
export class Recorder {
  readonly #sink: RecordSink;
  readonly #unixMs: () => number;
  #sockets = 0;

  /** `unixMs`: milliseconds since 1970. */
  constructor(sink: RecordSink, unixMs: () => number = Date.now) {
    this.#sink = sink;
    this.#unixMs = unixMs;
  }

  /** The same transport, recorded. What it does for engines, publishing and replaying, is not. */
  transport(transport: Transport): Transport {
    return {
      name: transport.name,
      capabilities: transport.capabilities,
      publisher: (options) => transport.publisher(options),
      router: (options) => transport.router(options),
      subscriber: (options) => {
        const number = ++this.#sockets;
        const socket = transport.subscriber(this.#observed(number, options));
        return Object.assign(this.#receiver(socket, number, "subscriber"), {
          subscribe: (topic: string | Uint8Array) => socket.subscribe(topic),
          unsubscribe: (topic: string | Uint8Array) => socket.unsubscribe(topic),
        }) satisfies Subscriber;
      },
      dealer: (options) => {
        const number = ++this.#sockets;
        const socket = transport.dealer(this.#observed(number, options));
        return Object.assign(this.#receiver(socket, number, "dealer"), {
          send: (frames: Message) => {
            this.#write("sent", number, { frames });
            socket.send(frames);
          },
        }) satisfies Dealer;
      },
    };
  }

  /** The same discovery, recorded. */
  discovery(discovery: Discovery): Discovery {
    const told = (change: PodChange["change"], pod: Pod): void => this.#write("pod", 0, { json: { change, pod } });
    return {
      start: (listener, options) => {
        const recorded: PodListener = {
          onPodAdd: (pod) => {
            told("add", pod);
            listener.onPodAdd(pod);
          },
          onPodUpdate: (oldPod, newPod) => {
            told("add", newPod);
            listener.onPodUpdate(oldPod, newPod);
          },
          onPodDelete: (pod: Pod | DeletedFinalStateUnknown) => {
            told("delete", "pod" in pod ? pod.pod : pod);
            listener.onPodDelete(pod);
          },
        };
        return discovery.start(recorded, options);
      },
      [Symbol.asyncDispose]: () => discovery[Symbol.asyncDispose](),
    };
  }

  #observed(number: number, options: SocketOptions = {}): SocketOptions {
    return {
      ...options,
      onConnection: (endpoint, state) => {
        this.#write("connection", number, { json: plain(state) });
        options.onConnection?.(endpoint, state);
      },
    };
  }

  #receiver(socket: Receiver, number: number, type: "subscriber" | "dealer"): Receiver {
    const recorded = (batches: AsyncIterable<MessageBatch>) => this.#received(batches, number);
    return {
      connect: (endpoint) => {
        this.#write("socket", number, { json: { type, endpoint } });
        socket.connect(endpoint);
      },
      disconnect: (endpoint) => socket.disconnect(endpoint),
      bind: (endpoint, options) => socket.bind(endpoint, options),
      receive: (options) => recorded(socket.receive(options)),
      close: () => {
        this.#write("closed", number, {});
        return socket.close();
      },
      [Symbol.asyncDispose]: () => socket[Symbol.asyncDispose](),
    };
  }

  async *#received(batches: AsyncIterable<MessageBatch>, number: number): AsyncGenerator<MessageBatch> {
    for await (const batch of batches) {
      for (const frames of batch.messages) this.#write("received", number, { frames, connection: batch.connectionId });
      yield batch;
    }
  }

  #write(kind: Recorded["kind"], socket: number, more: Pick<Recorded, "frames" | "json" | "connection">): void {
    this.#sink.write({ kind, socket, timeMs: this.#unixMs(), ...more });
  }
}

/** As JSON has it: of a cause, what it says. */
function plain(state: ConnectionState): object {
  if (!("cause" in state) || state.cause === undefined) return state;
  const { code, message } = state.cause;
  return { ...state, cause: { code, message } };
}
