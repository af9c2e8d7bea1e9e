import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import type { Message } from "../../src/transport.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { bytes, States, take, texts } from "../transports/zmtp/support.ts";
import { pythonTest } from "./support/python.ts";
import { Peer } from "./support/pyzmq-peer.ts";

// What libzmq can be told in Python alone, and what needs a process that can be stopped and killed.
const RECONNECT = { reconnectMinMs: 5, reconnectMaxMs: 50 };
const frames = (...each: readonly string[]): Message => each.map((text) => bytes(text));

pythonTest("zmtp 18: READY of libzmq with properties of its user's own is read", async (python) => {
  await using router = zmtp().router();
  const connect = await router.bind("tcp://127.0.0.1:0");
  const options = { identity: "engine", metadata: "X-pod:engine-7" };
  await using peer = await Peer.start(python, { type: "DEALER", options, connect });
  await peer.send("hello");
  assert.deepEqual(texts(await take(router, 1)), [["engine", "hello"]]);
});

pythonTest("zmtp 17: libzmq's REQ and REP talk to our router and dealer", async (python) => {
  await using router = zmtp().router();
  const connect = await router.bind("tcp://127.0.0.1:0");
  await using req = await Peer.start(python, { type: "REQ", options: { identity: "asks" }, connect });
  await req.send("question");
  assert.deepEqual(texts(await take(router, 1)), [["asks", "", "question"]]);
  assert.equal(router.send(frames("asks", "", "answer")), true);
  assert.deepEqual(await req.receive(), ["answer"]);

  await using rep = await Peer.start(python, { type: "REP", options: {} });
  await using dealer = zmtp().dealer();
  dealer.connect(rep.endpoint);
  dealer.send(frames("", "question"));
  assert.deepEqual(await rep.receive(), ["question"]);
  await rep.send("answer");
  assert.deepEqual(texts(await take(dealer, 1)), [["", "answer"]]);
});

pythonTest("zmtp 30: a libzmq process that stands still is found out, and taken up again", async (python) => {
  await using peer = await Peer.start(python, { type: "XPUB", options: {} });
  const states = new States();
  const transport = zmtp({ ...RECONNECT, heartbeatIntervalMs: 50, heartbeatTimeoutMs: 200 });
  await using sub = transport.subscriber({ onConnection: states.listener });
  sub.subscribe("kv");
  sub.connect(peer.endpoint);
  assert.deepEqual(await peer.receive(), ["\x01kv"]);
  const pid = await peer.pid();
  process.kill(pid, "SIGSTOP");
  assert.equal(await states.cause(), "heartbeat-timeout");
  process.kill(pid, "SIGCONT");
  await states.next("ready");
  // libzmq tells a topic once for all that want it: what it sends may be the first to show that it knows us again.
  let hasCome = false;
  const coming = take(sub, 1).then((messages) => {
    hasCome = true;
    return messages;
  });
  while (!hasCome) await peer.send("kv", "again");
  assert.deepEqual(texts(await coming)[0], ["kv", "again"]);
});

pythonTest("zmtp 33: a libzmq process that was killed and started anew is subscribed to again", async (python) => {
  const states = new States();
  await using sub = zmtp(RECONNECT).subscriber({ onConnection: states.listener });
  sub.subscribe("kv");
  let bind = "tcp://127.0.0.1:*";
  for (const name of ["first", "second"]) {
    await using peer = await Peer.start(python, { type: "XPUB", options: {}, bind });
    bind = peer.endpoint;
    sub.connect(bind);
    assert.deepEqual(await peer.receive(), ["\x01kv"]);
    await peer.send("kv", name);
    assert.deepEqual(texts(await take(sub, 1)), [["kv", name]]);
  }
  assert.equal(states.statuses.filter((status) => status === "ready").length, 2);
});

pythonTest("zmtp 45: the second libzmq of one identity is refused, and the first goes on", async (python) => {
  const states = new States();
  await using router = zmtp().router({ onConnection: states.listener });
  const connect = await router.bind("tcp://127.0.0.1:0");
  const options = { identity: "twin", reconnect_ivl: -1 };
  await using first = await Peer.start(python, { type: "DEALER", options, connect });
  await first.send("one");
  assert.deepEqual(texts(await take(router, 1)), [["twin", "one"]]);
  await using _second = await Peer.start(python, { type: "DEALER", options, connect });
  assert.match((await states.next("closed")).cause?.message ?? "", /belongs to another peer/);
  assert.equal(router.send(frames("twin", "to the first")), true);
  assert.deepEqual(await first.receive(), ["to the first"]);
});

pythonTest("zmtp 47: libzmq and ours meet over ipc, whoever binds", async (python) => {
  const folder = await mkdtemp(join(tmpdir(), "zmtp-"));
  try {
    const bound = `ipc://${join(folder, "ours.sock")}`;
    await using sub = zmtp().subscriber();
    sub.subscribe("");
    await sub.bind(bound);
    await using dialling = await Peer.start(python, { type: "XPUB", options: {}, connect: bound });
    assert.deepEqual(await dialling.receive(), ["\x01"]);
    await dialling.send("kv", "from below");
    assert.deepEqual(texts(await take(sub, 1)), [["kv", "from below"]]);

    await using listening = await Peer.start(python, { type: "ROUTER", options: {}, bind: `ipc://${folder}/theirs` });
    await using dealer = zmtp().dealer();
    dealer.connect(listening.endpoint);
    dealer.send(frames("", "question"));
    assert.deepEqual((await listening.receive()).slice(1), ["", "question"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

const hasIPv6 = Object.values(networkInterfaces()).some((each) => each?.some(({ family }) => family === "IPv6"));
pythonTest("zmtp 48: libzmq and ours meet over IPv6, whoever binds", async (python, t) => {
  if (!hasIPv6) {
    t.skip("no IPv6 here");
    return;
  }
  await using router = zmtp().router();
  const connect = await router.bind("tcp://[::1]:0");
  await using dealer = await Peer.start(python, { type: "DEALER", options: { ipv6: true, identity: "six" }, connect });
  await dealer.send("hello");
  assert.deepEqual(texts(await take(router, 1)), [["six", "hello"]]);
  await using theirs = await Peer.start(python, { type: "ROUTER", options: { ipv6: true }, bind: "tcp://[::1]:*" });
  await using ours = zmtp().dealer();
  ours.connect(theirs.endpoint);
  ours.send(frames("hello"));
  assert.deepEqual((await theirs.receive()).slice(1), ["hello"]);
});
