import type { Socket as NetSocket } from "node:net";
import { TransportError } from "../../src/errors.ts";
import type { ConnectionState, Message } from "../../src/transport.ts";
import { closedError, located, socketError } from "./errors.ts";
import { asBuffer, sizeOf } from "./frames.ts";
import type { ZwsEndpoint } from "./jszmq.ts";
import type { ResolvedOptions } from "./options.ts";
import { Outflow } from "./outflow.ts";

/** What a frame begins with: it is the last of its message, or there are more. */
const FINAL = 0;
const MORE = 1;

/** What a connection wants of the socket that it belongs to. */
export interface ConnectionHost {
  readonly options: ResolvedOptions;
  nextConnectionId(): number;
  notify(endpoint: string, state: ConnectionState): void;
  /** It is about to be ready. Throws what it is refused for. */
  admit(connection: Connection): void;
  /** It is ready no more. */
  release(connection: Connection): void;
  /** Throws what the connection is to end for. */
  deliver(connection: Connection, message: Message, bytes: number): void;
}

/**
 * One connection, from the upgrade on. jszmq's endpoint frames the messages; all that may go wrong with it is caught
 * here, for jszmq itself listens to no error, bounds nothing and connects again on its own.
 */
export class Connection {
  readonly endpoint: string;
  /** Resolves when the system's socket is closed. */
  readonly finished: Promise<void>;
  readonly #zws: ZwsEndpoint;
  readonly #net: NetSocket;
  readonly #host: ConnectionHost;
  readonly #outflow: Outflow;
  readonly #onClosed: (cause: TransportError | undefined) => void;
  #status: "handshaking" | "ready" | "closed" = "handshaking";
  #id = 0;
  #readyAt = 0;
  #identity: Buffer = Buffer.alloc(0);
  #isHeld = false;
  #hasSent = false;
  /** Of the message that is not complete yet. */
  #frames = 0;
  #bytes = 0;
  #deadline: unknown = null;

  constructor(
    endpoint: string,
    zws: ZwsEndpoint,
    net: NetSocket,
    host: ConnectionHost,
    onClosed: (cause: TransportError | undefined) => void,
  ) {
    const { sendHighWaterMark, sendHighWaterMarkBytes } = host.options;
    this.endpoint = endpoint;
    this.#zws = zws;
    this.#net = net;
    this.#host = host;
    this.#onClosed = onClosed;
    this.#outflow = new Outflow({ highWaterMark: sendHighWaterMark, highWaterMarkBytes: sendHighWaterMarkBytes });
    this.finished = new Promise((resolve) => {
      zws.socket.once("close", () => resolve());
    });
  }

  /** In the batches of this connection; 0 before it is ready. */
  get id(): number {
    return this.#id;
  }

  /** What the peer calls itself; empty when it leaves that to us. */
  get identity(): Uint8Array {
    return this.#identity;
  }

  /** Whether it has been, or was, ready for so long that its loss is a new event and not the last one's sequel. */
  isStable(): boolean {
    const { clock, stableAfterMs } = this.#host.options;
    return this.#id > 0 && clock.now() - this.#readyAt >= stableAfterMs;
  }

  /** Takes over from jszmq, which has just said who we are, and waits for the peer to do so. */
  start(): void {
    const { socket } = this.#zws;
    const { clock, handshakeTimeoutMs, keepAliveMs } = this.#host.options;
    socket.onclose = null;
    socket.onmessage = null;
    socket.on("message", (data: unknown) => this.#onFrame(data));
    socket.on("error", (error: unknown) => this.fail(socketError(error)));
    socket.on("close", (code: number) => this.#end(located(this.endpoint, closedError(code))));
    this.#zws.on("message", (_zws: unknown, ...frames: Buffer[]) => this.#onMessage(frames));
    this.#net.setKeepAlive(true, keepAliveMs);
    // The WebSocket resumes by itself when it has inflated what a server compressed.
    this.#net.on("resume", () => {
      if (this.#isHeld) this.#net.pause();
    });
    this.#deadline = clock.setTimeout(() => {
      const text = `the peer did not say who it is in ${handshakeTimeoutMs} ms; check that it speaks ZWS 2.0`;
      this.fail(new TransportError("handshake-timeout", text));
    }, handshakeTimeoutMs);
    this.#host.notify(this.endpoint, { status: "handshaking" });
  }

  /** Queues a message; false when the peer's high-water mark is reached. */
  send(message: Message): boolean {
    const { socket } = this.#zws;
    const held = socket.bufferedAmount;
    if (this.#status !== "ready" || !this.#outflow.hasRoom(sizeOf(message), held)) return false;
    // jszmq copies each frame behind its flag.
    this.#zws.send(message.map(asBuffer));
    this.#outflow.handedOver(socket.bufferedAmount - held);
    this.#hasSent = true;
    return true;
  }

  /** Tells a publisher what is, or is no longer, wanted: whatever is queued already. */
  sendTopic(topic: Uint8Array, subscribed: boolean): void {
    if (this.#status !== "ready") return;
    this.#zws.send([Buffer.concat([Uint8Array.of(subscribed ? 1 : 0), topic])]);
  }

  /** Reads no more until `resume`; the peer feels it through TCP. */
  pause(): void {
    if (this.#status !== "ready") return;
    this.#isHeld = true;
    this.#net.pause();
  }

  resume(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#net.resume();
  }

  /** Ends the connection because of the peer, or of us; the endpoint is put before the message. */
  fail(error: unknown): void {
    this.#end(located(this.endpoint, error));
  }

  /** Ends the connection at our own wish; what was sent is given `lingerMs` to arrive. */
  close(): Promise<void> {
    const { clock, lingerMs } = this.#host.options;
    const { socket } = this.#zws;
    const lingers = this.#status === "ready" && this.#hasSent && lingerMs > 0;
    if (lingers) {
      socket.close();
      const timer = clock.setTimeout(() => socket.terminate(), lingerMs);
      void this.finished.then(() => clock.clearTimeout(timer));
    }
    this.#end(undefined, lingers);
    return this.finished;
  }

  #onFrame(data: unknown): void {
    if (this.#status === "closed") return;
    try {
      if (!(data instanceof ArrayBuffer)) throw new TransportError("protocol", "the peer sent text; ZWS 2.0 is binary");
      const [flag] = new Uint8Array(data);
      if (flag !== FINAL && flag !== MORE) {
        throw new TransportError(
          "protocol",
          `the peer sent a frame with flag ${flag ?? "missing"}; ZWS 2.0 has 0 and 1`,
        );
      }
      this.#count(data.byteLength - 1);
      this.#zws.onMessage({ data });
    } catch (error) {
      this.fail(error);
    }
  }

  /** jszmq gathers frames for as long as a peer announces more. */
  #count(bytes: number): void {
    const { maxFrames, maxMessageBytes } = this.#host.options;
    this.#frames += 1;
    this.#bytes += bytes;
    if (this.#bytes > maxMessageBytes) {
      const text = `message of ${this.#bytes} bytes or more exceeds maxMessageBytes ${maxMessageBytes}; raise it or check the peer`;
      throw new TransportError("message-too-large", text);
    }
    if (this.#frames > maxFrames) {
      const text = `message of more than maxFrames ${maxFrames} frames; raise it or check the peer`;
      throw new TransportError("message-too-large", text);
    }
  }

  #onMessage(frames: Buffer[]): void {
    this.#frames = 0;
    this.#bytes = 0;
    if (this.#status === "handshaking") this.#becomeReady(frames);
    else if (this.#status === "ready") this.#host.deliver(this, frames, sizeOf(frames));
  }

  #becomeReady(frames: Buffer[]): void {
    const { clock } = this.#host.options;
    const [identity] = frames;
    if (identity === undefined || frames.length > 1) {
      throw new TransportError("protocol", `the peer's identity has ${frames.length} frames instead of 1; check it`);
    }
    clock.clearTimeout(this.#deadline);
    this.#identity = identity;
    this.#id = this.#host.nextConnectionId();
    this.#readyAt = clock.now();
    this.#status = "ready";
    try {
      this.#host.admit(this);
    } catch (error) {
      this.#id = 0;
      throw error;
    }
    this.#host.notify(this.endpoint, { status: "ready", connectionId: this.#id });
  }

  #end(cause: TransportError | undefined, lingers = false): void {
    if (this.#status === "closed") return;
    const wasAdmitted = this.#id > 0;
    this.#status = "closed";
    this.#host.options.clock.clearTimeout(this.#deadline);
    // A connection that is held does not even see that its peer closes, too.
    this.resume();
    if (!lingers) this.#zws.socket.terminate();
    if (wasAdmitted) this.#host.release(this);
    this.#onClosed(cause);
  }
}
