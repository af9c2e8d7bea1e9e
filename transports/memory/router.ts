import { TransportError } from "../../src/errors.ts";
import type { Message, Router, RouterOptions } from "../../src/transport.ts";
import type { Connection } from "./connection.ts";
import type { Network } from "./network.ts";
import type { ResolvedOptions } from "./options.ts";
import { ReceivingSocket } from "./receiving-socket.ts";
import { latin1 } from "./topics.ts";

/** ROUTER (RFC 28). Identities are generated: 00 and four bytes that no other connection of the network has. */
export class RouterSocket extends ReceivingSocket implements Router {
  readonly #mandatory: boolean;
  readonly #peers = new Map<string, Connection>();
  readonly #identities = new Map<Connection, Buffer>();

  constructor(network: Network, options: ResolvedOptions, socket: RouterOptions) {
    super("router", network, options, socket);
    this.#mandatory = socket.mandatory ?? false;
  }

  send(message: Message): boolean {
    const [identity, ...frames] = message;
    this.assertSendable(frames);
    const peer = this.#peers.get(latin1(identity!));
    if (peer !== undefined) return peer.send(frames);
    if (!this.#mandatory) return false;
    throw new TransportError(
      "host-unreachable",
      `memory: no peer has the identity 0x${Buffer.from(identity!).toString("hex")}; wait until it is ready again`,
    );
  }

  override admit(connection: Connection): void {
    super.admit(connection);
    const identity = Buffer.alloc(5);
    identity.writeUInt32BE(this.network.nextNumber() % 0x1_0000_0000, 1);
    this.#peers.set(latin1(identity), connection);
    this.#identities.set(connection, identity);
  }

  override release(connection: Connection): void {
    super.release(connection);
    this.#peers.delete(latin1(this.#identities.get(connection)!));
    this.#identities.delete(connection);
  }

  override deliver(connection: Connection, messages: Message[], bytes: number): void {
    const identity = this.#identities.get(connection)!;
    const addressed = messages.map((message) => [new Uint8Array(identity), ...message]);
    super.deliver(connection, addressed, bytes);
  }
}
