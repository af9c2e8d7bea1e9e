import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket as NetSocket, type Server } from "node:net";
import type { Clock } from "../../../src/clock.ts";
import type { ConnectionState, Message, Receiver } from "../../../src/transport.ts";
import { commandBody, encodeMetadata } from "../../../transports/zmtp/commands.ts";
import { encodeGreeting } from "../../../transports/zmtp/greeting.ts";
import { COMMAND, encodeFrame, LONG, MORE } from "../../../transports/zmtp/wire.ts";

export const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
export const text = (data?: Uint8Array): string => Buffer.from(data ?? []).toString("latin1");

/** A frame as the RFC writes it, by other means than the code under test. */
export function frame(flags: number, body: Uint8Array, long: boolean = body.length > 255): Buffer {
  const header = Buffer.alloc(long ? 9 : 2);
  header[0] = flags | (long ? LONG : 0);
  if (long) header.writeBigUInt64BE(BigInt(body.length), 1);
  else header[1] = body.length;
  return Buffer.concat([header, body]);
}

export const message = (...frames: readonly Uint8Array[]): Buffer =>
  Buffer.concat(frames.map((body, i) => frame(i + 1 < frames.length ? MORE : 0, body)));

export const command = (name: string, data: Uint8Array = Buffer.alloc(0)): Buffer =>
  Buffer.from(encodeFrame(COMMAND, commandBody(name, data)));

export const ready = (socketType: string, identity?: string): Buffer =>
  command(
    "READY",
    encodeMetadata([
      ["Socket-Type", bytes(socketType)],
      ...(identity === undefined ? [] : ([["Identity", bytes(identity)]] as const)),
    ]),
  );

export function greeting(major = 3, minor = 1, mechanism = "NULL"): Buffer {
  const data = Buffer.from(encodeGreeting(mechanism, false));
  data[10] = major;
  data[11] = minor;
  return data;
}

/** Time that passes only when a test says so. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  /** All timers that were set. */
  timersSet = 0;

  now(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, delayMs: number): unknown {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    this.timersSet += 1;
    return timer;
  }

  clearTimeout(handle: unknown): void {
    this.#timers.delete(handle as { at: number; callback: () => void });
  }

  /** Timers that would still fire. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets time pass; due timers fire in order, each at its own moment. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.callback();
    }
    this.#now = Math.max(this.#now, end);
  }

  /** The whole process stood still for so long: timers fire late. */
  freeze(ms: number): void {
    this.#now += ms;
    this.advance(0);
  }
}

type Status = ConnectionState["status"];
type StateOf<S extends Status> = Extract<ConnectionState, { readonly status: S }>;

/** Records connection states; each `next` waits for one after those that were asked for before. */
export class States {
  readonly seen: { readonly endpoint: string; readonly state: ConnectionState }[] = [];
  #asked = 0;
  #wake: (() => void) | null = null;

  readonly listener = (endpoint: string, state: ConnectionState): void => {
    this.seen.push({ endpoint, state });
    this.#wake?.();
  };

  get statuses(): Status[] {
    return this.seen.map(({ state }) => state.status);
  }

  async next<S extends Status>(status: S): Promise<StateOf<S>> {
    for (;;) {
      while (this.#asked < this.seen.length) {
        const { state } = this.seen[this.#asked]!;
        this.#asked += 1;
        if (state.status === status) return state as StateOf<S>;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The code of the cause for which the connection is given up, or waits. */
  async cause(status: "waiting" | "closed" = "waiting"): Promise<string | undefined> {
    return (await this.next(status)).cause?.code;
  }
}

/** One side of a raw TCP connection, for a test that plays the peer byte by byte. */
export class RawPeer {
  readonly socket: NetSocket;
  #unread: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: (() => void) | null = null;

  constructor(socket: NetSocket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.#unread = Buffer.concat([this.#unread, chunk]);
      this.#wake?.();
    });
    socket.on("error", () => {});
    socket.on("close", () => this.#end());
    socket.on("end", () => this.#end());
  }

  /** Resolves when the bytes are handed to the system. */
  write(...parts: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve) => {
      this.socket.write(Buffer.concat(parts), () => resolve());
    });
  }

  async read(count: number): Promise<Buffer> {
    while (this.#unread.length < count) {
      if (this.#ended) throw new Error(`ended with ${this.#unread.length} of ${count} bytes unread`);
      await this.#more();
    }
    const data = this.#unread.subarray(0, count);
    this.#unread = this.#unread.subarray(count);
    return data;
  }

  async readFrame(): Promise<{ readonly flags: number; readonly body: Buffer }> {
    const [flags] = await this.read(1);
    const size = flags! & LONG ? Number((await this.read(8)).readBigUInt64BE()) : (await this.read(1))[0]!;
    return { flags: flags!, body: await this.read(size) };
  }

  async readCommand(): Promise<{ readonly name: string; readonly data: Buffer }> {
    const { flags, body } = await this.readFrame();
    if ((flags & COMMAND) === 0) throw new Error(`expected a command, got a frame with flags ${flags}`);
    return { name: text(body.subarray(1, 1 + body[0]!)), data: body.subarray(1 + body[0]!) };
  }

  async readMessage(): Promise<Buffer[]> {
    const frames: Buffer[] = [];
    for (;;) {
      const { flags, body } = await this.readFrame();
      frames.push(body);
      if ((flags & MORE) === 0) return frames;
    }
  }

  /** What came until the other side closed. */
  async readToEnd(): Promise<Buffer> {
    while (!this.#ended) await this.#more();
    return this.#unread;
  }

  /** Plays an ordinary peer's handshake; returns the other side's READY. */
  async shake(socketType: string, minor = 1, identity?: string): Promise<Buffer> {
    await this.write(greeting(3, minor), ready(socketType, identity));
    await this.read(64);
    return (await this.readCommand()).data;
  }

  #end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** A raw server: `accept` gives one peer after the other. */
export class RawServer {
  readonly #server: Server;
  readonly #waiting: RawPeer[] = [];
  readonly #open = new Set<NetSocket>();
  #wake: (() => void) | null = null;
  accepted = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      this.accepted += 1;
      this.#open.add(socket);
      this.#waiting.push(new RawPeer(socket));
      this.#wake?.();
    });
  }

  static async start(port = 0): Promise<RawServer> {
    const server = createServer({ allowHalfOpen: true });
    const raw = new RawServer(server);
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return raw;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get endpoint(): string {
    return `tcp://127.0.0.1:${this.port}`;
  }

  async accept(): Promise<RawPeer> {
    for (;;) {
      const peer = this.#waiting.shift();
      if (peer !== undefined) return peer;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Connects to a bound socket, as a raw peer. */
export async function rawConnect(endpoint: string): Promise<RawPeer> {
  const socket = connect({ host: "127.0.0.1", port: Number(endpoint.slice(endpoint.lastIndexOf(":") + 1)) });
  const peer = new RawPeer(socket);
  await once(socket, "connect");
  return peer;
}

/** The next `count` messages, flat. */
export async function take(receiver: Receiver, count: number): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const batch of receiver.receive()) {
    messages.push(...batch.messages);
    if (messages.length >= count) break;
  }
  return messages;
}

export const texts = (received: readonly Message[]): string[][] =>
  received.map((frames) => frames.map((body) => text(body)));

/** A promise and what settles it. */
export function deferred<T = void>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Lets the event loop go round once, as a consumer does that works on other things too. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
