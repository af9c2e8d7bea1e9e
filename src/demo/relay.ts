import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A cable between an engine and those who listen to it, that can be cut. Disposing equals `close()`. */
export interface Relay extends AsyncDisposable {
  /** To connect to instead of the target. */
  readonly endpoint: string;
  /** Ends all connections, and every new one at once, until `mend()`. What was on its way is lost. */
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

/** Listens on a free port of the loopback and passes all bytes on to the target, `tcp://host:port`, and back. */
export async function startRelay(target: string): Promise<Relay> {
  const { hostname, port } = new URL(target);
  const relay = new RunningRelay(hostname, Number(port));
  await relay.listen();
  return relay;
}

class RunningRelay implements Relay {
  readonly #host: string;
  readonly #port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  #closing: Promise<void> | undefined;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  get endpoint(): string {
    return `tcp://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject).listen(0, "127.0.0.1", () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.cut();
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(accepted: Socket): void {
    if (this.#isCut) {
      accepted.destroy();
      return;
    }
    const target = connect(this.#port, this.#host);
    this.#join(accepted, target);
    this.#join(target, accepted);
  }

  /** Passes what comes from one end on to the other, and ends with it. */
  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.setNoDelay(true);
    // The peers report why they lost their connection.
    from.on("error", () => undefined);
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.pipe(to);
  }
}
