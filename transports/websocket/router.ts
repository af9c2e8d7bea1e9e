import { TransportError } from "../../src/errors.ts";
import type { Message, Router, RouterOptions } from "../../src/transport.ts";
import type { Connection } from "./connection.ts";
import { latin1 } from "./frames.ts";
import type { Jszmq } from "./jszmq.ts";
import type { ResolvedOptions } from "./options.ts";
import { ReceivingSocket } from "./receiving-socket.ts";

/** ROUTER (RFC 28). An identity that is taken is refused to the newcomer. */
export class RouterSocket extends ReceivingSocket implements Router {
  readonly #mandatory: boolean;
  readonly #peers = new Map<string, Connection>();
  readonly #identities = new Map<Connection, Buffer>();
  #lastGenerated: number;

  constructor(jszmq: Jszmq, options: ResolvedOptions, socket: RouterOptions) {
    super("router", jszmq, options, socket);
    this.#mandatory = socket.mandatory ?? false;
    // A peer's address must not mean another peer after this process restarted.
    this.#lastGenerated = Math.floor(options.random() * 0x1_0000_0000);
  }

  send(message: Message): boolean {
    const [identity, ...frames] = message;
    this.assertSendable(frames);
    const peer = this.#peers.get(latin1(identity!));
    if (peer !== undefined) return peer.send(frames);
    if (!this.#mandatory) return false;
    throw new TransportError(
      "host-unreachable",
      `websocket: no peer has the identity 0x${Buffer.from(identity!).toString("hex")}; wait until it is ready again`,
    );
  }

  override admit(connection: Connection): void {
    const identity = this.#identify(connection);
    super.admit(connection);
    this.#peers.set(latin1(identity), connection);
    this.#identities.set(connection, identity);
  }

  override release(connection: Connection): void {
    super.release(connection);
    this.#peers.delete(latin1(this.#identities.get(connection)!));
    this.#identities.delete(connection);
  }

  override deliver(connection: Connection, message: Message, bytes: number): void {
    super.deliver(connection, [Buffer.from(this.#identities.get(connection)!), ...message], bytes);
  }

  #identify({ identity }: Connection): Buffer {
    if (identity.length === 0) return this.#generate();
    const name = `0x${Buffer.from(identity).toString("hex")}`;
    if (identity[0] === 0) {
      throw new TransportError("protocol", `the peer's identity ${name} begins with 0, which is reserved; change it`);
    }
    if (this.#peers.has(latin1(identity))) {
      throw new TransportError("protocol", `identity ${name} belongs to another peer; give each its own`);
    }
    return Buffer.from(identity);
  }

  /** 00 and a number that no connected peer has. */
  #generate(): Buffer {
    const identity = Buffer.alloc(5);
    do {
      this.#lastGenerated = (this.#lastGenerated + 1) >>> 0;
      identity.writeUInt32BE(this.#lastGenerated, 1);
    } while (this.#peers.has(latin1(identity)));
    return identity;
  }
}
