import { connectableEndpoint } from "./endpoint.ts";
import type { Link } from "./link.ts";
import type { NativeEvent } from "./load.ts";
import {
  bindError,
  disconnectError,
  faultError,
  type HandshakeFault,
  handshakeFault,
  openError,
} from "./native-errors.ts";
import type { LinkHost } from "./socket.ts";

/**
 * Accepts peers at one bound endpoint. libzmq does not say which peer an event or a message is of: what happens is
 * reported under the bound endpoint, and the latest connection's number stands for all of them.
 */
export class Binding {
  /** Where to connect to. */
  readonly endpoint: string;
  readonly #host: LinkHost;
  readonly #link: Link;
  #fault: HandshakeFault | null = null;
  #isClosed = false;

  /** Binds `address`, which is libzmq's form of `text`. Throws TransportError `address-in-use`, `invalid-endpoint`. */
  constructor(text: string, address: string, host: LinkHost) {
    this.#host = host;
    try {
      this.#link = host.open((event) => this.#onEvent(event));
    } catch (error) {
      throw openError(text, error);
    }
    try {
      // Listening takes no time, and nothing but this can say what was wrong.
      this.#link.native.bindSync(address);
    } catch (error) {
      void this.#link.close();
      throw bindError(text, error);
    }
    this.endpoint = connectableEndpoint(this.#link.native.lastEndpoint ?? text);
    this.#link.connectionId = host.nextConnectionId();
    host.attach(this.#link);
  }

  /** Stops to accept and closes all connections that came in here; resolves when no socket is left. */
  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      void this.#host.release(this.#link);
      for (; this.#link.peers > 0; this.#link.peers -= 1) this.#host.notify(this.endpoint, { status: "closed" });
    }
    await this.#link.close();
  }

  #onEvent(event: NativeEvent): void {
    if (this.#isClosed) return;
    switch (event.type) {
      case "accept":
        this.#link.peers += 1;
        this.#host.notify(this.endpoint, { status: "handshaking" });
        break;
      case "handshake":
        this.#link.readyPeers += 1;
        this.#link.connectionId = this.#host.nextConnectionId();
        this.#host.notify(this.endpoint, { status: "ready", connectionId: this.#link.connectionId });
        if (!this.#isClosed) this.#host.welcome(this.#link);
        break;
      case "handshake:error:protocol":
      case "handshake:error:auth":
      case "handshake:error:other":
        this.#fault = handshakeFault(event.type, event.error);
        break;
      case "disconnect":
        this.#gone();
        break;
      default:
        break;
    }
  }

  #gone(): void {
    this.#link.peers -= 1;
    // It was ready, unless libzmq has just complained of a handshake.
    if (this.#fault === null || this.#link.peers === 0) {
      this.#link.readyPeers = Math.min(this.#link.peers, Math.max(this.#link.readyPeers - 1, 0));
    }
    const fault = this.#fault;
    this.#fault = null;
    const cause = fault === null ? disconnectError(this.endpoint, "traffic") : faultError(this.endpoint, fault);
    if (this.#link.peers === 0) this.#host.deserted(this.#link);
    this.#host.notify(this.endpoint, { status: "closed", cause });
  }
}
