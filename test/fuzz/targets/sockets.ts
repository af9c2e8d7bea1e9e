import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket as NetSocket } from "node:net";
import type { ConnectionState } from "../../../src/transport.ts";
import { generateCurveKeys, type ZmtpSecurity, zmtp } from "../../../transports/zmtp/index.ts";
import type { SocketType } from "../../../transports/zmtp/mechanism.ts";
import { bytes, text } from "../../transports/zmtp/support.ts";
import type { Generator } from "../generator.ts";
import { SOCKET_TYPES } from "../grammar.ts";
import { codeOf, type OpenTarget, type Target } from "../target.ts";
import { attack, type Victim } from "./attack.ts";
import { type OurSocket, openSocket } from "./our-socket.ts";

const SERVER = generateCurveKeys();

/** Each mechanism, from the server's side and from the client's. */
const SECURITIES: readonly { readonly server: ZmtpSecurity; readonly client: ZmtpSecurity }[] = [
  { server: { mechanism: "NULL" }, client: { mechanism: "NULL" } },
  {
    server: { mechanism: "PLAIN", role: "server", authenticate: async ({ username }) => username !== "" },
    client: { mechanism: "PLAIN", role: "client", username: "me", password: "open" },
  },
  {
    server: { mechanism: "CURVE", role: "server", secretKey: SERVER.secretKey },
    client: { mechanism: "CURVE", role: "client", serverKey: SERVER.publicKey },
  },
];

interface Bound extends Victim, OurSocket {
  readonly endpoint: string;
}

/** What became of the connections that were accepted, by the peer's address. */
class Endings {
  readonly #waiting = new Map<string, () => void>();
  /** The last state of connections that are not over. */
  readonly #last = new Map<string, ConnectionState["status"]>();
  fault: unknown = null;

  readonly listener = (endpoint: string, state: ConnectionState): void => {
    try {
      this.#follow(endpoint, state);
    } catch (error) {
      this.fault ??= error;
    }
  };

  /** Resolves when that connection is over. */
  of(endpoint: string): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.set(endpoint, resolve);
    });
  }

  get open(): number {
    return this.#last.size;
  }

  #follow(endpoint: string, state: ConnectionState): void {
    const before = this.#last.get(endpoint);
    const isNext = { handshaking: before === undefined, ready: before === "handshaking", closed: true };
    assert.ok(state.status in isNext && isNext[state.status as keyof typeof isNext], `${state.status} after ${before}`);
    this.#last.set(endpoint, state.status);
    if (state.status !== "closed") return;
    this.#last.delete(endpoint);
    this.#waiting.get(endpoint)?.();
    this.#waiting.delete(endpoint);
    if (state.cause !== undefined) codeOf(state.cause);
  }
}

async function bindAll(endings: Endings): Promise<Bound[]> {
  const bound: Bound[] = [];
  for (const { server, client } of SECURITIES) {
    for (const socketType of SOCKET_TYPES) {
      const ours = openSocket(socketType, server, { onConnection: endings.listener });
      const endpoint = await ours.socket.bind("tcp://127.0.0.1:0");
      bound.push({ ...ours, endpoint, socketType, security: client });
    }
  }
  return bound;
}

/** Our sockets, bound, and a stranger that connects. */
const server: Target = {
  name: "server",
  open: async (): Promise<OpenTarget> => {
    const endings = new Endings();
    const bound = await bindAll(endings);
    return {
      run: async (generator, inputs) => {
        const victim = generator.pick(bound);
        const socket = connect({ host: "127.0.0.1", port: Number(victim.endpoint.split(":").at(-1)) });
        await once(socket, "connect");
        const ended = endings.of(`tcp://127.0.0.1:${socket.localPort}`);
        const closed = closeOf(socket);
        await attack(generator, inputs, socket, victim);
        await Promise.all([ended, closed]);
        if (endings.fault !== null) throw endings.fault;
      },
      check: async () => {
        for (const { endpoint, security } of bound.filter(({ socketType }) => socketType === "ROUTER")) {
          await using dealer = zmtp({ security }).dealer();
          dealer.connect(endpoint);
          dealer.send([bytes("still there?")]);
          for await (const { messages } of dealer.receive()) {
            assert.equal(text(messages[0]?.[0]), "still there?");
            break;
          }
        }
        while (endings.open > 0) await new Promise((resolve) => setImmediate(resolve));
      },
      [Symbol.asyncDispose]: async () => {
        await Promise.all(bound.map(({ socket }) => socket.close()));
        await Promise.all(bound.map(({ serving }) => serving));
      },
    };
  },
};

/** Resolves when it is closed, with an error or without. */
function closeOf(socket: NetSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
  });
}

/** Connects one of our sockets to whatever listens there, and closes it once it is let down, or at any moment. */
async function dial(
  generator: Generator,
  socketType: SocketType,
  security: ZmtpSecurity,
  endpoint: string,
): Promise<void> {
  let wake = (): void => {};
  const letDown = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const codes: string[] = [];
  const statuses: string[] = [];
  const { socket, say, serving } = openSocket(socketType, security, {
    onConnection: (_endpoint, state) => {
      statuses.push(state.status);
      if (state.status === "waiting") codes.push(codeOf(state.cause));
      if (state.status === "waiting" || state.status === "closed") wake();
    },
  });
  socket.connect(endpoint);
  if (generator.chance(0.3)) say([bytes("none"), generator.bytes(generator.length(9_000))]);
  if (generator.chance(0.1)) {
    for (let i = generator.below(12); i > 0; i -= 1) await new Promise((resolve) => setImmediate(resolve));
  } else {
    await letDown;
    assert.equal(codes.length, 1);
  }
  await socket.close();
  await serving;
  assert.equal(statuses.at(-1), "closed", statuses.join());
}

/** A stranger that listens, and our sockets that connect to it. */
const client: Target = {
  name: "client",
  open: async (): Promise<OpenTarget> => {
    let answer: (socket: NetSocket) => void = (socket) => socket.destroy();
    const listening = createServer({ allowHalfOpen: true }, (socket) => answer(socket));
    listening.listen(0, "127.0.0.1");
    await once(listening, "listening");
    const endpoint = `tcp://127.0.0.1:${(listening.address() as AddressInfo).port}`;
    return {
      run: async (generator, inputs) => {
        const { server: theirs, client: ours } = generator.pick(SECURITIES);
        const socketType = generator.pick(SOCKET_TYPES);
        const victim = { socketType, security: theirs };
        const attacks: Promise<unknown>[] = [];
        answer = (socket) => {
          attacks.push(closeOf(socket), attack(generator, inputs, socket, victim));
        };
        await dial(generator, socketType, ours, endpoint);
        await Promise.all(attacks);
      },
      [Symbol.asyncDispose]: async () => {
        listening.close();
        await once(listening, "close");
      },
    };
  },
};

export const socketTargets: readonly Target[] = [server, client];
