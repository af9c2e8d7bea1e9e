import assert from "node:assert/strict";
import type { Message, Receiver } from "../../src/transport.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { bytes, deferred, States, text } from "../transports/zmtp/support.ts";
import { goTest } from "./support/go.ts";
import { PeerProcess } from "./support/peer-process.ts";

type Kind = "pub" | "sub" | "dealer" | "router" | "push";

/** A socket of go-zeromq/zmq4, which speaks ZMTP 3.0, in a process of its own. */
class Peer implements AsyncDisposable {
  readonly #process: PeerProcess;
  readonly endpoint: string;

  private constructor(child: PeerProcess, endpoint: string) {
    this.#process = child;
    this.endpoint = endpoint;
  }

  static async start(program: string, kind: Kind, ...args: readonly string[]): Promise<Peer> {
    const child = new PeerProcess("zmq4", program, [kind, ...args]);
    return new Peer(child, await child.readLine());
  }

  async send(...frames: readonly string[]): Promise<void> {
    await this.#do({ do: "send", frames: frames.map((frame) => Buffer.from(frame, "latin1").toString("base64")) });
  }

  async receive(): Promise<string[]> {
    const frames = (await this.#do({ do: "receive" })) as readonly (string | null)[];
    return frames.map((frame) => Buffer.from(frame ?? "", "base64").toString("latin1"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }

  async #do(step: object): Promise<unknown> {
    this.#process.write(JSON.stringify(step));
    return JSON.parse(await this.#process.readLine());
  }
}

async function* received(receiver: Receiver): AsyncGenerator<string[], void> {
  for await (const { messages } of receiver.receive()) {
    for (const message of messages) yield message.map((frame) => text(frame));
  }
}

const frames = (...texts: readonly string[]): Message => texts.map((each) => bytes(each));
const BIND = ["bind", "tcp://127.0.0.1:0"] as const;

goTest("zmtp 14, 24: zmq4 publishes to our subscriber, which subscribes by message", "zmq4", async (program) => {
  await using peer = await Peer.start(program, "pub", ...BIND);
  const states = new States();
  await using sub = zmtp().subscriber({ onConnection: states.listener });
  sub.subscribe("kv");
  sub.connect(peer.endpoint);
  await states.next("ready");
  const incoming = received(sub);
  const first = incoming.next();
  let isSubscribed = false;
  void first.then(() => {
    isSubscribed = true;
  });
  // zmq4 does not tell when a subscription has come.
  while (!isSubscribed) await peer.send("kv", "first?");
  assert.deepEqual((await first).value, ["kv", "first?"]);
  const long = "\xff".repeat(70_000);
  await peer.send("other", "not asked for");
  await peer.send("kv@pod", "", long);
  for await (const message of incoming) {
    if (message[1] === "first?") continue;
    assert.deepEqual(message, ["kv@pod", "", long]);
    break;
  }
});

goTest("zmtp 14, 24: our publisher takes zmq4's subscription, and publishes to it", "zmq4", async (program) => {
  const subscribed = deferred<string>();
  await using pub = zmtp().publisher({ onSubscription: (topic) => subscribed.resolve(text(topic)) });
  const endpoint = await pub.bind("tcp://127.0.0.1:0");
  await using peer = await Peer.start(program, "sub", "connect", endpoint, "kv");
  assert.equal(await subscribed.promise, "kv");
  const long = "x".repeat(70_000);
  pub.send(frames("other", "not asked for"));
  pub.send(frames("kv@pod", "", long));
  assert.deepEqual(await peer.receive(), ["kv@pod", "", long]);
  for (let i = 0; i < 100; i += 1) pub.send(frames("kv", `${i}`));
  for (let i = 0; i < 100; i += 1) assert.deepEqual(await peer.receive(), ["kv", `${i}`]);
});

goTest("zmtp 33: zmq4 that comes back at the same endpoint is subscribed to again", "zmq4", async (program) => {
  const states = new States();
  await using sub = zmtp({ reconnectMinMs: 5, reconnectMaxMs: 50 }).subscriber({ onConnection: states.listener });
  sub.subscribe("");
  const incoming = received(sub);
  let endpoint = "tcp://127.0.0.1:0";
  for (const name of ["one", "two"]) {
    await using peer = await Peer.start(program, "pub", "bind", endpoint);
    endpoint = peer.endpoint;
    sub.connect(endpoint);
    await states.next("ready");
    let hasCome = false;
    const coming = (async () => {
      // What the first one sent more of may still be under way.
      for (;;) {
        const { value, done } = await incoming.next();
        if (done || value[0] === name) break;
      }
      hasCome = true;
    })();
    while (!hasCome) await peer.send(name);
    await coming;
  }
});

goTest("zmtp 17: zmq4 of another kind is told as such", "zmq4", async (program) => {
  await using peer = await Peer.start(program, "push", ...BIND);
  const states = new States();
  await using sub = zmtp().subscriber({ onConnection: states.listener });
  sub.connect(peer.endpoint);
  const { cause } = await states.next("waiting");
  assert.equal(cause.code, "socket-type-mismatch");
  assert.match(cause.message, /the peer is a PUSH, which cannot talk to a SUB/);
});

goTest("zmtp 46: our dealer and zmq4's router talk, and zmq4's dealer and our router", "zmq4", async (program) => {
  await using router = await Peer.start(program, "router", ...BIND);
  await using dealer = zmtp().dealer();
  dealer.send(frames("", "\0\x2a"));
  dealer.connect(router.endpoint);
  const [identity, ...question] = await router.receive();
  assert.deepEqual(question, ["", "\0\x2a"]);
  await router.send(identity!, "", "answer");
  assert.deepEqual((await received(dealer).next()).value, ["", "answer"]);

  await using ours = zmtp().router();
  const endpoint = await ours.bind("tcp://127.0.0.1:0");
  await using theirs = await Peer.start(program, "dealer", "connect", endpoint);
  await theirs.send("", "question");
  const message = (await received(ours).next()).value!;
  assert.deepEqual(message.slice(1), ["", "question"]);
  assert.equal(ours.send(frames(message[0]!, "", "answer")), true);
  assert.deepEqual(await theirs.receive(), ["", "answer"]);
});
