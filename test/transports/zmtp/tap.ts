import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket as NetSocket, type Server } from "node:net";

/** Which way bytes go: from who connected to the tap, or to it. */
type Direction = "up" | "down";

/** A wire between two real peers that a test can listen to and hold. Each connection to it becomes one to the target. */
export class Tap implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<NetSocket>();
  readonly #seen: Record<Direction, Buffer> = { up: Buffer.alloc(0), down: Buffer.alloc(0) };
  readonly #held: Record<Direction, { readonly to: NetSocket; readonly data: Buffer }[]> = { up: [], down: [] };
  readonly #holding = new Set<Direction>();
  #woken: (() => void)[] = [];

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    server.on("connection", (from) => {
      const to = connect({ host: "127.0.0.1", port: targetPort });
      this.#forward(from, to, "up");
      this.#forward(to, from, "down");
    });
  }

  static async start(target: string): Promise<Tap> {
    const server = createServer();
    const tap = new Tap(server, Number(target.slice(target.lastIndexOf(":") + 1)));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return tap;
  }

  get endpoint(): string {
    return `tcp://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How often these bytes came so far. */
  count(direction: Direction, words: string): number {
    return this.#seen[direction].toString("latin1").split(words).length - 1;
  }

  /** Resolves when these bytes came more than `before` times. */
  async saw(direction: Direction, words: string, before = 0): Promise<void> {
    while (this.count(direction, words) <= before) await this.#change();
  }

  /** Lets nothing through in this direction any more. */
  hold(direction: Direction): void {
    this.#holding.add(direction);
  }

  /** Lets this many of the bytes that are held pass, all unless told; what comes later is held as before. */
  pass(direction: Direction, bytes: number = Number.POSITIVE_INFINITY): number {
    let passed = 0;
    while (passed < bytes) {
      const next = this.#held[direction].shift();
      if (next === undefined) break;
      const data = next.data.subarray(0, bytes - passed);
      if (data.length < next.data.length) {
        this.#held[direction].unshift({ to: next.to, data: next.data.subarray(data.length) });
      }
      next.to.write(data);
      passed += data.length;
    }
    return passed;
  }

  /** Resolves when so many bytes are held. */
  async holds(direction: Direction, bytes: number): Promise<void> {
    while (this.#held[direction].reduce((sum, { data }) => sum + data.length, 0) < bytes) await this.#change();
  }

  /** Lets all through again that comes from now on; what is held is forgotten. */
  release(direction: Direction): void {
    this.#holding.delete(direction);
    this.#held[direction] = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #forward(from: NetSocket, to: NetSocket, direction: Direction): void {
    this.#sockets.add(from);
    from.setNoDelay(true);
    from.on("error", () => {});
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.on("data", (data: Buffer) => {
      this.#seen[direction] = Buffer.concat([this.#seen[direction], data]);
      if (this.#holding.has(direction)) this.#held[direction].push({ to, data });
      else to.write(data);
      for (const resolve of this.#woken.splice(0)) resolve();
    });
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#woken.push(resolve));
  }
}
