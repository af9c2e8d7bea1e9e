import { TransportError } from "../../src/errors.ts";
import type { Message, Router, RouterOptions } from "../../src/transport.ts";
import type { Connection } from "./connection.ts";
import type { MechanismFactory } from "./mechanism.ts";
import { MessageEncoder } from "./message-encoder.ts";
import type { ResolvedOptions } from "./options.ts";
import { ReceivingSocket } from "./receiving-socket.ts";
import { latin1, writeUint32 } from "./wire.ts";

/** ROUTER (RFC 28). An identity that is taken is refused to the newcomer, as libzmq does without handover. */
export class RouterSocket extends ReceivingSocket implements Router {
  readonly #encoder = new MessageEncoder();
  readonly #mandatory: boolean;
  readonly #peers = new Map<string, Connection>();
  readonly #identities = new Map<Connection, { readonly identity: Uint8Array; readonly key: string }>();
  #lastGenerated: number;

  constructor(mechanism: MechanismFactory, options: ResolvedOptions, socket: RouterOptions) {
    super("ROUTER", mechanism, options, socket);
    this.#mandatory = socket.mandatory ?? false;
    // A peer's address must not mean another peer after this process restarted.
    this.#lastGenerated = Math.floor(options.random() * 0x1_0000_0000);
  }

  send(message: Message): boolean {
    this.assertOpen();
    const [identity, ...frames] = message;
    const peer = identity === undefined ? undefined : this.#peers.get(latin1(identity));
    if (peer !== undefined) return peer.send(frames, this.#encoder.encode(frames));
    if (!this.#mandatory) return false;
    const name = identity === undefined ? "missing" : `0x${Buffer.from(identity).toString("hex")}`;
    throw new TransportError(
      "host-unreachable",
      `zmtp: no peer has the identity ${name}; wait until it is ready again`,
    );
  }

  override admit(connection: Connection): void {
    const given = connection.peer.identity;
    const identity = given.length === 0 ? this.#generate() : given;
    if (given[0] === 0) throw new TransportError("protocol", "the peer's identity begins with 0, which is reserved");
    const key = latin1(identity);
    if (this.#peers.has(key)) {
      const name = Buffer.from(identity).toString("hex");
      throw new TransportError("protocol", `identity 0x${name} belongs to another peer; give each its own`);
    }
    super.admit(connection);
    this.#peers.set(key, connection);
    this.#identities.set(connection, { identity, key });
  }

  override release(connection: Connection): void {
    super.release(connection);
    this.#peers.delete(this.#identities.get(connection)!.key);
    this.#identities.delete(connection);
  }

  override deliver(connection: Connection, messages: Message[], bytes: number): void {
    const { identity } = this.#identities.get(connection)!;
    const addressed = messages.map((message) => [identity, ...message]);
    super.deliver(connection, addressed, bytes);
  }

  /** 00 and a number that no connected peer has. */
  #generate(): Uint8Array {
    const identity = new Uint8Array(5);
    do {
      this.#lastGenerated = (this.#lastGenerated + 1) >>> 0;
      writeUint32(identity, 1, this.#lastGenerated);
    } while (this.#peers.has(latin1(identity)));
    return identity;
  }
}
