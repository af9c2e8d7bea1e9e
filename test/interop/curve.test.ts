import assert from "node:assert/strict";
import type { TransportError } from "../../src/errors.ts";
import type { ConnectionState, Message, Receiver } from "../../src/transport.ts";
import { generateCurveKeys, type ZmtpSecurity, zmtp } from "../../transports/zmtp/index.ts";
import { deferred } from "../support/deferred.ts";
import { PeerProcess } from "./support/peer-process.ts";
import { pythonTest } from "./support/python.ts";

/** A socket of pyzmq with security, driven by a line of JSON for each step. Frames are Latin-1 text. */
const PEER = `
import json, sys, zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

config = json.loads(sys.argv[1])
context = zmq.Context()
authenticator = ThreadAuthenticator(context)
if "passwords" in config or "clients" in config:
    authenticator.start()
if "passwords" in config:
    authenticator.configure_plain(domain="*", passwords=config["passwords"])
if "clients" in config:
    class Known:
        def callback(self, domain, key):
            return key.decode() in config["clients"]
    authenticator.configure_curve_callback(domain="*", credentials_provider=Known())
socket = context.socket(getattr(zmq, config["type"]))
socket.linger = 0
for option, value in config["options"].items():
    setattr(socket, option, value.encode() if isinstance(value, str) else value)
monitor = socket.get_monitor_socket()
if "connect" in config:
    socket.connect(config["connect"])
    print(config["connect"], flush=True)
else:
    socket.bind("tcp://127.0.0.1:*")
    print(socket.last_endpoint.decode(), flush=True)
for line in sys.stdin:
    step = json.loads(line)
    if step["do"] == "send":
        socket.send_multipart([frame.encode("latin-1") for frame in step["frames"]])
        print("null", flush=True)
    elif step["do"] == "receive":
        print(json.dumps([frame.decode("latin-1") for frame in socket.recv_multipart()]), flush=True)
    elif step["do"] == "event":
        event = None
        while event is None or event["event"] != getattr(zmq, step["name"]):
            event = recv_monitor_message(monitor)
        print(json.dumps(event["value"]), flush=True)
`;

interface PeerConfig {
  readonly type: "XPUB" | "SUB" | "DEALER" | "ROUTER";
  /** Socket options by their names in pyzmq. */
  readonly options: Readonly<Record<string, string | boolean>>;
  readonly connect?: string;
  /** Of clients of PLAIN that are let in. */
  readonly passwords?: Readonly<Record<string, string>>;
  /** Keys of clients of CURVE that are let in; absent: all. */
  readonly clients?: readonly string[];
}

class Peer implements AsyncDisposable {
  readonly #process: PeerProcess;
  readonly endpoint: string;

  private constructor(child: PeerProcess, endpoint: string) {
    this.#process = child;
    this.endpoint = endpoint;
  }

  static async start(python: string, config: PeerConfig): Promise<Peer> {
    const child = new PeerProcess("pyzmq", python, ["-c", PEER, JSON.stringify(config)]);
    return new Peer(child, await child.readLine());
  }

  async send(...frames: readonly string[]): Promise<void> {
    await this.#do({ do: "send", frames });
  }

  receive(): Promise<readonly string[]> {
    return this.#do({ do: "receive" });
  }

  /** The value of the next such event of its monitor. */
  event(name: string): Promise<number> {
    return this.#do({ do: "event", name });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }

  async #do<T>(step: object): Promise<T> {
    this.#process.write(JSON.stringify(step));
    return JSON.parse(await this.#process.readLine()) as T;
  }
}

const SERVER = generateCurveKeys();
const CLIENT = generateCurveKeys();
const PYZMQ_SERVER = { curve_server: true, curve_secretkey: SERVER.secretKey, curve_publickey: SERVER.publicKey };
const PYZMQ_CLIENT = {
  curve_serverkey: SERVER.publicKey,
  curve_publickey: CLIENT.publicKey,
  curve_secretkey: CLIENT.secretKey,
};
const CURVE_SERVER = { mechanism: "CURVE", role: "server", secretKey: SERVER.secretKey } as const;
const CURVE_CLIENT: ZmtpSecurity = {
  mechanism: "CURVE",
  role: "client",
  serverKey: SERVER.publicKey,
  secretKey: CLIENT.secretKey,
};

const frames = (...texts: readonly string[]): Message => texts.map((text) => Buffer.from(text, "latin1"));

async function first(receiver: Receiver): Promise<string[]> {
  for await (const { messages } of receiver.receive()) {
    return messages[0]!.map((frame) => Buffer.from(frame).toString("latin1"));
  }
  throw new Error("the socket was closed");
}

/** A listener, and the cause for which a connection is given up first. */
function failure(): {
  readonly listener: (endpoint: string, state: ConnectionState) => void;
  readonly cause: Promise<TransportError>;
} {
  let resolve!: (cause: TransportError) => void;
  const cause = new Promise<TransportError>((settle) => {
    resolve = settle;
  });
  const listener = (_endpoint: string, state: ConnectionState): void => {
    if ((state.status === "waiting" || state.status === "closed") && state.cause !== undefined) resolve(state.cause);
  };
  return { listener, cause };
}

pythonTest("pyzmq publishes over CURVE to our subscriber, whose key its authenticator knows", async (python) => {
  await using peer = await Peer.start(python, { type: "XPUB", options: PYZMQ_SERVER, clients: [CLIENT.publicKey] });
  await using sub = zmtp({ security: CURVE_CLIENT }).subscriber();
  sub.subscribe("kv");
  sub.connect(peer.endpoint);
  assert.deepEqual(await peer.receive(), ["\x01kv"]);
  const long = "\xff".repeat(70_000);
  await peer.send("kv", "", long);
  assert.deepEqual(await first(sub), ["kv", "", long]);
});

pythonTest("our publisher publishes over CURVE to pyzmq, and knows its key", async (python) => {
  const keys: string[] = [];
  const authenticate = ({ publicKey }: { readonly publicKey: string }): boolean => keys.push(publicKey) > 0;
  const { promise: subscribed, resolve } = deferred();
  await using pub = zmtp({ security: { ...CURVE_SERVER, authenticate } }).publisher({
    onSubscription: () => resolve(),
  });
  const connect = await pub.bind("tcp://127.0.0.1:0");
  await using peer = await Peer.start(python, { type: "SUB", options: { ...PYZMQ_CLIENT, subscribe: "kv" }, connect });
  await subscribed;
  pub.send(frames("kv", "x".repeat(70_000)));
  assert.deepEqual(await peer.receive(), ["kv", "x".repeat(70_000)]);
  assert.deepEqual(keys, [CLIENT.publicKey]);
});

pythonTest("our dealer and pyzmq's router talk over CURVE", async (python) => {
  await using peer = await Peer.start(python, { type: "ROUTER", options: PYZMQ_SERVER });
  await using dealer = zmtp({ security: CURVE_CLIENT }).dealer();
  dealer.send(frames("", "\x00\x2a"));
  dealer.connect(peer.endpoint);
  const [identity, ...question] = await peer.receive();
  assert.deepEqual(question, ["", "\x00\x2a"]);
  await peer.send(identity!, "", "answer");
  assert.deepEqual(await first(dealer), ["", "answer"]);
});

pythonTest("pyzmq's dealer and our router talk over CURVE", async (python) => {
  await using router = zmtp({ security: CURVE_SERVER }).router();
  const connect = await router.bind("tcp://127.0.0.1:0");
  await using peer = await Peer.start(python, {
    type: "DEALER",
    options: { ...PYZMQ_CLIENT, identity: "engine" },
    connect,
  });
  await peer.send("", "question");
  assert.deepEqual(await first(router), ["engine", "", "question"]);
  assert.equal(router.send(frames("engine", "", "answer")), true);
  assert.deepEqual(await peer.receive(), ["", "answer"]);
});

pythonTest("pyzmq's authenticator refuses our key, which is told as a refusal", async (python) => {
  await using peer = await Peer.start(python, { type: "XPUB", options: PYZMQ_SERVER, clients: [] });
  const { listener, cause } = failure();
  await using sub = zmtp({ security: CURVE_CLIENT }).subscriber({ onConnection: listener });
  sub.connect(peer.endpoint);
  const { code, message } = await cause;
  assert.equal(code, "authentication", message);
});

pythonTest("pyzmq that our authenticate refuses learns ZAP's code for it", async (python) => {
  await using pub = zmtp({ security: { ...CURVE_SERVER, authenticate: () => false } }).publisher();
  const connect = await pub.bind("tcp://127.0.0.1:0");
  await using peer = await Peer.start(python, { type: "SUB", options: PYZMQ_CLIENT, connect });
  assert.equal(await peer.event("EVENT_HANDSHAKE_FAILED_AUTH"), 400);
});

pythonTest("the wrong server key is told on our side, whichever it is", async (python) => {
  const wrong = { ...PYZMQ_CLIENT, curve_serverkey: CLIENT.publicKey };
  const bound = failure();
  await using pub = zmtp({ security: CURVE_SERVER }).publisher({ onConnection: bound.listener });
  const connect = await pub.bind("tcp://127.0.0.1:0");
  await using _client = await Peer.start(python, { type: "SUB", options: wrong, connect });
  assert.match((await bound.cause).message, /HELLO was sealed for another server/);
  await using server = await Peer.start(python, { type: "XPUB", options: PYZMQ_SERVER });
  const dialing = failure();
  const security = { ...CURVE_CLIENT, serverKey: CLIENT.publicKey } as ZmtpSecurity;
  await using sub = zmtp({ security }).subscriber({ onConnection: dialing.listener });
  sub.connect(server.endpoint);
  assert.match((await dialing.cause).message, /check that serverKey is its public key/);
});

for (const [what, password, isWelcome] of [
  ["lets in", "sesame", true],
  ["refuses", "wrong", false],
] as const) {
  pythonTest(`pyzmq's server of PLAIN ${what} our client by its password`, async (python) => {
    const options = { plain_server: true };
    await using peer = await Peer.start(python, { type: "ROUTER", options, passwords: { gateway: "sesame" } });
    const { listener, cause } = failure();
    const security: ZmtpSecurity = { mechanism: "PLAIN", role: "client", username: "gateway", password };
    await using dealer = zmtp({ security }).dealer({ onConnection: listener });
    dealer.send(frames("hello"));
    dealer.connect(peer.endpoint);
    if (isWelcome) assert.equal((await peer.receive())[1], "hello");
    else assert.equal((await cause).code, "authentication");
  });

  pythonTest(`our server of PLAIN ${what} pyzmq's client by its password`, async (python) => {
    const { listener, cause } = failure();
    const security: ZmtpSecurity = {
      mechanism: "PLAIN",
      role: "server",
      authenticate: (asked) => asked.username === "gateway" && asked.password === "sesame",
    };
    await using router = zmtp({ security }).router({ onConnection: listener });
    const connect = await router.bind("tcp://127.0.0.1:0");
    const options = { plain_username: "gateway", plain_password: password };
    await using peer = await Peer.start(python, { type: "DEALER", options, connect });
    if (isWelcome) {
      await peer.send("hello");
      assert.equal((await first(router))[1], "hello");
    } else {
      assert.equal((await cause).code, "authentication");
    }
  });
}
