import type { ServerDuplexStream, ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import { KVEventSyncError } from "../errors.ts";
import type { ActiveRequest } from "../routing/load.ts";
import { descriptor } from "./descriptor.ts";
import { type Effect, Exchange, ExchangeError } from "./exchange.ts";
import { type Grpc, loadGrpc } from "./grpc.ts";
import type { ProcessingRequest, ProcessingResponse } from "./messages.ts";
import type { EndpointPicker } from "./picker.ts";

/** `grpc.health.v1.HealthCheckResponse.ServingStatus`. */
const SERVING = 1;
const NOT_SERVING = 2;

const EXT_PROC = "envoy.service.ext_proc.v3.ExternalProcessor";
const HEALTH = "grpc.health.v1.Health";

export interface EnvoyServerParts {
  readonly picker: EndpointPicker;
  /** Whether picks are as good as they will be; told by the health service. */
  readonly isReady: () => boolean;
  /** Largest request body that is looked at. @default 8 MiB */
  readonly maxBodyBytes?: number;
  /** Hears of what goes wrong with single streams. */
  readonly onError?: (error: Error) => void;
}

type ProcessStream = ServerDuplexStream<ProcessingRequest, ProcessingResponse>;
type HealthCall = ServerUnaryCall<object, { readonly status: number }>;
type HealthStream = ServerWritableStream<object, { readonly status: number }>;

const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** Of one message; a whole body where Envoy buffers. */
const MESSAGE_OVERHEAD_BYTES = 1024 * 1024;

/**
 * An endpoint picker for Envoy, as the Gateway API Inference Extension defines it: external processing over gRPC, and the
 * health service. Disposing ends streams and server; idempotent.
 */
export class EnvoyServer implements AsyncDisposable {
  readonly #grpc: Grpc["grpc"];
  readonly #server: import("@grpc/grpc-js").Server;
  #closing: Promise<void> | null = null;

  private constructor({ grpc, loader }: Grpc, parts: EnvoyServerParts) {
    const { maxBodyBytes = MAX_BODY_BYTES, isReady } = parts;
    this.#grpc = grpc;
    this.#server = new grpc.Server({
      "grpc.max_receive_message_length": maxBodyBytes + MESSAGE_OVERHEAD_BYTES,
      "grpc.max_send_message_length": -1,
    });
    const services = loader.fromJSON(descriptor() as Parameters<typeof loader.fromJSON>[0], { keepCase: true });
    const healthStatus = (): number => (isReady() ? SERVING : NOT_SERVING);
    this.#server.addService(services[EXT_PROC] as never, {
      Process: (stream: ProcessStream) => void new Stream(stream, grpc, parts, maxBodyBytes).run(),
    });
    this.#server.addService(services[HEALTH] as never, {
      Check: (_call: HealthCall, answer: sendUnaryData<{ readonly status: number }>) =>
        answer(null, { status: healthStatus() }),
      Watch: (stream: HealthStream) => {
        stream.write({ status: healthStatus() });
        // Envoy checks, it does not watch: whoever does asks again.
        stream.end();
      },
    });
  }

  /** Rejects with TransportError `missing-package`. */
  static async create(parts: EnvoyServerParts): Promise<EnvoyServer> {
    return new EnvoyServer(await loadGrpc(), parts);
  }

  /** Port 0 takes a free one. Resolves to the port; rejects with KVEventSyncError `cannot-listen`. */
  listen({ host, port }: { readonly host: string; readonly port: number }): Promise<number> {
    const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, this.#grpc.ServerCredentials.createInsecure(), (cause, taken) => {
        if (cause === null) return resolve(taken);
        const problem = `${address}: cannot listen there for Envoy (${cause.message}); choose another port`;
        reject(new KVEventSyncError("cannot-listen", problem, { cause }));
      });
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#server.tryShutdown(() => resolve());
      this.#server.forceShutdown();
    });
    return this.#closing;
  }
}

/** One request of Envoy's, over the stream that it opened for it. */
class Stream {
  readonly #stream: ProcessStream;
  readonly #grpc: Grpc["grpc"];
  readonly #parts: EnvoyServerParts;
  readonly #exchange: Exchange;
  readonly #gone = new AbortController();
  #active: ActiveRequest | null = null;

  constructor(stream: ProcessStream, grpc: Grpc["grpc"], parts: EnvoyServerParts, maxBodyBytes: number) {
    this.#stream = stream;
    this.#grpc = grpc;
    this.#parts = parts;
    this.#exchange = new Exchange(maxBodyBytes);
  }

  /** Never rejects. */
  async run(): Promise<void> {
    const stream = this.#stream;
    stream.once("cancelled", () => this.#gone.abort());
    stream.once("close", () => this.#gone.abort());
    this.#gone.signal.addEventListener("abort", () => this.#active?.end(), { once: true });
    try {
      // Not destroyed by an error in here: the stream has still to say what was wrong.
      const messages: AsyncIterable<ProcessingRequest> = stream.iterator({ destroyOnReturn: false });
      for await (const message of messages) {
        await this.#follow(this.#exchange.receive(message));
      }
      stream.end();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#active?.end();
    }
  }

  async #follow(effects: readonly Effect[]): Promise<void> {
    for (const effect of effects) {
      if (effect.type === "send") await this.#send(effect.response);
      else if (effect.type === "firstToken") this.#active?.firstToken();
      else if (effect.type === "end") this.#active?.end();
      else {
        const { picked, active } = await this.#parts.picker.pick(effect.request, this.#gone.signal);
        this.#active = active;
        if (this.#gone.signal.aborted) active?.end();
        await this.#follow(this.#exchange.picked(picked));
      }
    }
  }

  /** Waits where Envoy takes no more. */
  #send(response: ProcessingResponse): Promise<void> {
    const stream = this.#stream;
    if (stream.write(response)) return Promise.resolve();
    return new Promise((resolve) => {
      const { signal } = this.#gone;
      const end = (): void => {
        stream.off("drain", end);
        signal.removeEventListener("abort", end);
        resolve();
      };
      stream.once("drain", end);
      signal.addEventListener("abort", end, { once: true });
      if (signal.aborted) end();
    });
  }

  #fail(error: unknown): void {
    if (this.#gone.signal.aborted) return;
    const isTheirs = error instanceof ExchangeError;
    if (!isTheirs) this.#parts.onError?.(error instanceof Error ? error : new Error(String(error)));
    const code = isTheirs ? this.#grpc.status.INVALID_ARGUMENT : this.#grpc.status.INTERNAL;
    // That is how grpc-js takes a status.
    this.#stream.emit("error", { code, details: isTheirs ? error.message : "the endpoint picker failed" });
  }
}
