import type { Socket as NetSocket } from "node:net";
import { TransportError } from "../../src/errors.ts";
import type { ConnectionState, Message } from "../../src/transport.ts";
import { type Command, commandBody, parseCommand, parsePing, pingBody, subscriptionMessage } from "./commands.ts";
import { startDeadline } from "./deadline.ts";
import { plainAddress } from "./endpoint.ts";
import { Handshake, type HandshakeStep, type Peer, peerError } from "./handshake.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { FrameCodec, Mechanism, MechanismStep, SocketType } from "./mechanism.ts";
import { encodeWrapped, encodeWrappedFrame } from "./message-encoder.ts";
import { MessageParser } from "./message-parser.ts";
import { disconnectError, located } from "./net-errors.ts";
import type { ResolvedOptions } from "./options.ts";
import { Outbox } from "./outbox.ts";
import type { Reader } from "./read-turns.ts";
import { COMMAND, EMPTY, encodeFrame } from "./wire.ts";

/** Signs of life that wait for a peer which asks for them and does not read: enough for any honest one. */
const MAX_WAITING_SIGNS = 64;

/** TCP's own probes, for what heartbeats do not see: a peer of ZMTP 3.0. */
const KEEP_ALIVE_MS = 30_000;

/** The socket that connections belong to. */
export interface ConnectionHost {
  readonly socketType: SocketType;
  readonly options: ResolvedOptions;
  newMechanism(): Mechanism;
  notify(endpoint: string, state: ConnectionState): void;
  /** A number for a connection that is ready, higher than all before. */
  nextConnectionId(): number;
  /** A connection finished its handshake. Throws a TransportError to refuse it. */
  admit(connection: Connection): void;
  /** An admitted connection is over. */
  release(connection: Connection): void;
  /**
   * `chunk` is where the last of them came from, and those before that were delivered without one. It is to be given back;
   * where none is named, nothing but messages keeps it.
   */
  deliver(connection: Connection, messages: Message[], bytes: number, chunk?: Uint8Array): void;
  /** Any command but PING, PONG and ERROR. Throws a TransportError to end the connection. */
  command(connection: Connection, command: Command): void;
}

/**
 * One established TCP or ipc connection, from the greeting to its end: `net.Socket` tied to the pure parts. It reports
 * `handshaking` and `ready` itself; what its end means is the business of who made it (`onClosed`, called once).
 */
export class Connection implements Reader {
  readonly endpoint: string;
  /** Settles when the operating system has closed the socket. */
  readonly finished: Promise<void>;

  readonly #socket: NetSocket;
  readonly #host: ConnectionHost;
  readonly #onClosed: (cause: TransportError | undefined) => void;
  readonly #handshake: Handshake;
  readonly #outbox: Outbox;
  #status: "handshaking" | "ready" | "closed" = "handshaking";
  #id = 0;
  #readyAt = 0;
  #peer: Peer | null = null;
  #codec: FrameCodec | null = null;
  #parser: MessageParser | null = null;
  #heartbeat: Heartbeat | null = null;
  #cancelDeadline: (() => void) | null = null;
  #hasSent = false;
  /** By its socket, whose inbox is full. */
  #isPaused = false;
  /** Neither paused nor held. */
  #mayRead = true;
  /** It takes what was read, and tells then whether to go on. */
  #isReceiving = false;
  /** Somebody else decides about the peer. */
  #isJudging = false;

  constructor(
    socket: NetSocket,
    endpoint: string,
    host: ConnectionHost,
    onClosed: (cause: TransportError | undefined) => void,
  ) {
    const { options } = host;
    this.endpoint = endpoint;
    this.#socket = socket;
    this.#host = host;
    this.#onClosed = onClosed;
    this.#handshake = new Handshake(host.newMechanism(), host.socketType);
    this.#outbox = new Outbox(socket, {
      highWaterMark: options.sendHighWaterMark,
      highWaterMarkBytes: options.sendHighWaterMarkBytes,
    });
    this.finished = new Promise((resolve) => {
      socket.once("close", () => resolve());
    });
  }

  /** In the batches of this connection; 0 before it is ready. */
  get id(): number {
    return this.#id;
  }

  /** What the handshake showed. Only for a connection that was admitted. */
  get peer(): Peer {
    return this.#peer!;
  }

  get isHandshaking(): boolean {
    return this.#status === "handshaking";
  }

  /** Whether it has been, or was, ready for so long that its loss is a new event and not the last one's sequel. */
  isStable(): boolean {
    const { clock, stableAfterMs } = this.#host.options;
    return this.#id > 0 && clock.now() - this.#readyAt >= stableAfterMs;
  }

  /** Begins the handshake. */
  start(): void {
    const socket = this.#socket;
    const { clock, handshakeTimeoutMs } = this.#host.options;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.on("close", this.#onEnd);
    this.#host.options.readTurns.add(this);
    this.#cancelDeadline = startDeadline(clock, handshakeTimeoutMs, () => {
      const text = this.#isJudging
        ? `authenticate gave no answer before the handshake's ${handshakeTimeoutMs} ms were over; answer sooner`
        : `no finished handshake after ${handshakeTimeoutMs} ms; check the peer`;
      this.fail(new TransportError("handshake-timeout", text));
    });
    this.#outbox.pushControl(this.#handshake.opening());
    this.#outbox.flush();
    this.#host.notify(this.endpoint, { status: "handshaking" });
  }

  /**
   * Queues a message; false when the peer's high-water mark is reached. `encoded` is the same message in clear text,
   * made once for all peers.
   */
  send(message: Message, encoded: Uint8Array): boolean {
    if (this.#status !== "ready" || !this.#outbox.hasRoom(encoded.length)) return false;
    const codec = this.#codec;
    this.#outbox.push(codec === null ? encoded : encodeWrapped(codec, message));
    this.#hasSent = true;
    return true;
  }

  /** Tells a publisher what is, or is no longer, wanted: in the words of its version, in one write. */
  sendSubscriptions(topics: readonly Uint8Array[], subscribe: boolean): void {
    if (topics.length === 0) return;
    const name = subscribe ? "SUBSCRIBE" : "CANCEL";
    const frames = topics.map((topic) =>
      this.peer.knowsCommands
        ? this.#frame(COMMAND, commandBody(name, topic))
        : this.#frame(0, subscriptionMessage(topic, subscribe)),
    );
    this.#outbox.pushControl(frames.length === 1 ? frames[0]! : Buffer.concat(frames));
  }

  /** Reads no more until `resume`; the peer feels it through TCP. */
  pause(): void {
    if (this.#status !== "ready" || this.#isPaused) return;
    this.#isPaused = true;
    this.#host.options.readTurns.delete(this);
    this.#stopReading();
    this.#heartbeat?.pause();
  }

  resume(): void {
    if (this.#status !== "ready" || !this.#isPaused) return;
    this.#isPaused = false;
    this.#host.options.readTurns.add(this);
    this.#goOnReading();
    this.#heartbeat?.resume();
  }

  /** Reads no more until `release`, which comes soon: no peer takes that for silence. */
  hold(): void {
    this.#stopReading();
  }

  release(): void {
    this.#goOnReading();
  }

  /** Ends the connection because of the peer, or of us; the endpoint is put before the message. */
  fail(error: unknown): void {
    this.#end(located(this.endpoint, error));
  }

  /** Ends the connection at our own wish. With `graceful`, what was sent is given `lingerMs` to arrive. */
  close(graceful: boolean): Promise<void> {
    const { clock, lingerMs } = this.#host.options;
    const linger = graceful && lingerMs > 0 && this.#status === "ready" && this.#hasSent;
    if (linger) {
      this.#outbox.flushAll();
      this.#socket.end();
      // Unread bytes would make the system reset the connection, and the peer lose what it has not read yet.
      this.#socket.resume();
      const timer = clock.setTimeout(() => this.#socket.destroy(), lingerMs);
      this.#socket.once("close", () => clock.clearTimeout(timer));
    }
    this.#end(undefined, linger);
    return this.finished;
  }

  /**
   * Takes what the socket has read, and tells whether it is to read on; who made the connection sees to both. A socket
   * that stops so is begun again for less than one that was paused.
   */
  received(chunk: Uint8Array): boolean {
    if (this.#status === "closed") return true;
    this.#isReceiving = true;
    const { chunks, readTurns } = this.#host.options;
    readTurns.read(this, chunk.length);
    try {
      if (this.#parser === null) this.#shake(this.#handshake.push(chunk));
      else this.#read(this.#parser, chunk, chunks.isReusable(chunk) ? chunk : undefined);
    } catch (error) {
      this.fail(error);
    }
    this.#isReceiving = false;
    return this.#mayRead;
  }

  readonly #onEnd = (): void => this.#onError();

  readonly #onError = (error?: Error): void => {
    const meaning = this.#status === "handshaking" ? this.#handshake.onSilentClose() : null;
    if (meaning !== null) this.fail(new TransportError(meaning.code, meaning.message, { cause: error }));
    else this.#end(disconnectError(this.endpoint, this.#status === "handshaking" ? "handshake" : "traffic", error));
  };

  #shake(step: HandshakeStep): void {
    for (const frame of step.send) this.#outbox.pushControl(frame);
    this.#outbox.flush();
    if (step.failure !== undefined) throw step.failure;
    if (step.pending !== undefined) this.#await(step.pending);
    if (step.done === undefined) return;
    const { peer, codec, rest } = step.done;
    const { options } = this.#host;
    this.#peer = peer;
    this.#codec = codec;
    this.#parser = new MessageParser(options, codec, (body) => this.#command(body));
    this.#becomeReady(peer);
    if (this.#status === "ready" && rest.length > 0) this.#read(this.#parser, rest);
  }

  /** Waits while somebody else decides about the peer; the deadline of the handshake goes on. */
  #await(pending: (address: string) => Promise<MechanismStep>): void {
    this.#isJudging = true;
    const resume = (step: MechanismStep): void => {
      if (this.#status !== "handshaking") return;
      this.#isJudging = false;
      this.#shake(this.#handshake.resume(step));
    };
    pending(plainAddress(this.#socket.remoteAddress ?? ""))
      .then(resume)
      .catch((error: unknown) => this.fail(error));
  }

  #becomeReady(peer: Peer): void {
    const { clock, heartbeatIntervalMs, heartbeatTimeoutMs } = this.#host.options;
    this.#cancelDeadline?.();
    const id = this.#host.nextConnectionId();
    this.#id = id;
    this.#readyAt = clock.now();
    this.#status = "ready";
    this.#heartbeat = new Heartbeat(
      clock,
      { intervalMs: peer.knowsCommands ? heartbeatIntervalMs : 0, timeoutMs: heartbeatTimeoutMs },
      {
        ping: () => this.#sendSign(pingBody()),
        sign: () => this.#sendSign(commandBody("PONG", EMPTY)),
        expire: (silentMs) => {
          const text = `the peer sent nothing for ${Math.round(silentMs)} ms; it, or the way to it, is gone`;
          this.fail(new TransportError("heartbeat-timeout", text));
        },
      },
    );
    try {
      this.#host.admit(this);
    } catch (error) {
      this.#id = 0;
      throw error;
    }
    this.#host.notify(this.endpoint, { status: "ready", connectionId: id });
  }

  /** `chunk` is given on with its messages, where nothing but they can refer to it. */
  #read(parser: MessageParser, bytes: Uint8Array, chunk?: Uint8Array): void {
    this.#heartbeat?.received();
    try {
      parser.push(bytes);
    } finally {
      this.#deliver(parser, chunk);
    }
  }

  #deliver(parser: MessageParser, chunk?: Uint8Array): void {
    if (this.#status !== "ready") return;
    // Memory that is used again is kept whole, beside the copies of frames that crossed chunks.
    const bytes = parser.heldBytes + (chunk?.buffer.byteLength ?? 0);
    const messages = parser.take();
    if (messages.length > 0) this.#host.deliver(this, messages, bytes, chunk);
  }

  #command(body: Uint8Array): void {
    if (this.#status !== "ready") return;
    this.#deliver(this.#parser!);
    const command = parseCommand(body);
    if (command.name === "PING") {
      const { ttlMs, pong } = parsePing(command.data);
      this.#heartbeat?.setTtl(ttlMs);
      this.#sendSign(pong);
    } else if (command.name === "ERROR") {
      throw peerError(command.data);
    } else if (command.name === "READY") {
      throw new TransportError("protocol", "a second READY came; check the peer");
    } else if (command.name !== "PONG") {
      this.#host.command(this, command);
    }
  }

  #stopReading(): void {
    this.#mayRead = false;
    if (!this.#isReceiving) this.#socket.pause();
  }

  #goOnReading(): void {
    this.#mayRead = true;
    if (!this.#isReceiving) this.#socket.resume();
  }

  #frame(flags: number, body: Uint8Array): Uint8Array {
    return this.#codec === null ? encodeFrame(flags, body) : encodeWrappedFrame(this.#codec, flags, body);
  }

  /** Nothing that the peer makes us send may pile up when it does not read. */
  #sendSign(body: Uint8Array): void {
    if (this.#outbox.controls < MAX_WAITING_SIGNS) this.#outbox.pushControl(this.#frame(COMMAND, body));
  }

  #end(cause: TransportError | undefined, lingering = false): void {
    if (this.#status === "closed") return;
    this.#status = "closed";
    // What still comes is read, and passed over.
    this.#mayRead = true;
    this.#host.options.readTurns.delete(this);
    this.#cancelDeadline?.();
    this.#heartbeat?.stop();
    if (!lingering) this.#socket.destroy();
    if (this.#id > 0) this.#host.release(this);
    this.#onClosed(cause);
  }
}
