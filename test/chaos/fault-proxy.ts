import type { AddressInfo } from "node:net";
import { createServer, connect as dial, type Server, type Socket } from "node:net";

/** What a proxy does to the connections through it. */
export type ProxyFault =
  /** Breaks all of them. */
  | "cut"
  /** Lets nothing through for a while, in either direction; what comes is kept by TCP. */
  | "delay"
  /** Passes every byte on its own, or nearly so, for a while. */
  | "split"
  /** Passes few bytes at a time, for a while. */
  | "throttle"
  /** Passes nothing and takes everything: each side thinks that the other is silent. In the end it is cut. */
  | "half-open"
  /** Refuses new connections, and breaks those that there are, for a while. */
  | "down";

export const PROXY_FAULTS: readonly ProxyFault[] = ["cut", "delay", "split", "throttle", "half-open", "down"];

const THROTTLED_BYTES = 512;
const THROTTLE_MS = 10;

/** One TCP endpoint in front of another. */
export class FaultProxy implements AsyncDisposable {
  readonly #target: number;
  readonly #server: Server = createServer((socket) => this.#accept(socket));
  readonly #pairs = new Set<Pair>();
  #fault: ProxyFault | null = null;
  #timer: NodeJS.Timeout | undefined;

  private constructor(target: number) {
    this.#target = target;
  }

  /** In front of a port of this machine. */
  static async open(target: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Begins a fault, in the place of one that is going on. */
  disturb(fault: ProxyFault, durationMs: number): void {
    this.heal();
    if (fault === "cut" || fault === "down") for (const pair of this.#pairs) pair.cut();
    if (fault === "cut") return;
    this.#fault = fault;
    for (const pair of this.#pairs) pair.become(fault);
    this.#timer = setTimeout(() => this.heal(), durationMs);
  }

  /** Ends what is going on. */
  heal(): void {
    clearTimeout(this.#timer);
    const isHalfOpen = this.#fault === "half-open";
    this.#fault = null;
    for (const pair of [...this.#pairs]) {
      // What was swallowed is missing: the connection cannot go on.
      if (isHalfOpen) pair.cut();
      else pair.become(null);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const pair of this.#pairs) pair.cut();
    await closed;
  }

  #accept(socket: Socket): void {
    if (this.#fault === "down") {
      socket.destroy();
      return;
    }
    const pair = new Pair(socket, dial(this.#target, "127.0.0.1"), () => this.#pairs.delete(pair));
    this.#pairs.add(pair);
    pair.become(this.#fault);
  }
}

/** The two halves of one connection through the proxy. */
class Pair {
  readonly #sockets: readonly [Socket, Socket];
  readonly #onEnd: () => void;
  #fault: ProxyFault | null = null;
  #isOver = false;

  constructor(near: Socket, far: Socket, onEnd: () => void) {
    this.#sockets = [near, far];
    this.#onEnd = onEnd;
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true);
      from.on("data", (chunk: Buffer) => this.#pass(chunk, from, to));
      from.on("error", () => this.cut());
      from.on("close", () => this.cut());
    }
  }

  become(fault: ProxyFault | null): void {
    this.#fault = fault;
    for (const socket of this.#sockets) {
      if (fault === "delay") socket.pause();
      else socket.resume();
    }
  }

  cut(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#onEnd();
  }

  #pass(chunk: Buffer, from: Socket, to: Socket): void {
    if (this.#fault === "half-open" || to.destroyed) return;
    if (this.#fault === "split") {
      for (let at = 0, size = 1; at < chunk.length; at += size, size = (size * 7) % 13 || 1) {
        to.write(chunk.subarray(at, at + size));
      }
      return;
    }
    if (this.#fault === "throttle") {
      this.#trickle(chunk, from, to);
      return;
    }
    if (to.write(chunk)) return;
    from.pause();
    to.once("drain", () => {
      if (this.#fault !== "delay") from.resume();
    });
  }

  /** A piece at a time; the rest waits where it came from. */
  #trickle(chunk: Buffer, from: Socket, to: Socket): void {
    to.write(chunk.subarray(0, THROTTLED_BYTES));
    if (chunk.length <= THROTTLED_BYTES) return;
    from.pause();
    from.unshift(chunk.subarray(THROTTLED_BYTES));
    setTimeout(() => {
      if (!from.destroyed && this.#fault !== "delay") from.resume();
    }, THROTTLE_MS);
  }
}
