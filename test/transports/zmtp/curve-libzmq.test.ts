import assert from "node:assert/strict";
import { test } from "node:test";
import * as libzmq from "zeromq";
import { type ZmtpSecurity, zmtp } from "../../../transports/zmtp/index.ts";
import { bytes, deferred, ManualClock, States, take, text, texts, turn } from "./support.ts";

/** The other side of every test here is libzmq, by way of the `zeromq` package. */
const FREE = "tcp://127.0.0.1:*";

/** Made by libzmq, so that its keys are ours too. */
const SERVER = libzmq.curveKeyPair();
const CLIENT = libzmq.curveKeyPair();

const LIBZMQ_SERVER = { linger: 0, curveServer: true, curveSecretKey: SERVER.secretKey };
const LIBZMQ_CLIENT = {
  linger: 0,
  curveServerKey: SERVER.publicKey,
  curvePublicKey: CLIENT.publicKey,
  curveSecretKey: CLIENT.secretKey,
};
const CURVE_CLIENT: ZmtpSecurity = {
  mechanism: "CURVE",
  role: "client",
  serverKey: SERVER.publicKey,
  secretKey: CLIENT.secretKey,
};
const CURVE_SERVER: ZmtpSecurity = { mechanism: "CURVE", role: "server", secretKey: SERVER.secretKey };
const PLAIN_CLIENT: ZmtpSecurity = { mechanism: "PLAIN", role: "client", username: "gateway", password: "sesame" };

/** The address at which libzmq asks who may come in (RFC 27). */
const ZAP = "inproc://zeromq.zap.01";

/** The handler before this one frees the address some time after it was closed. */
async function bindWhenFree(handler: libzmq.Reply): Promise<void> {
  for (;;) {
    try {
      await handler.bind(ZAP);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      await turn();
    }
  }
}

/** Answers libzmq's questions, `credentials` being what the mechanism showed, until it is closed. */
async function startZap(
  accepts: (mechanism: string, credentials: readonly Buffer[]) => boolean,
): Promise<libzmq.Reply> {
  const handler = new libzmq.Reply({ linger: 0 });
  await bindWhenFree(handler);
  const answer = async (): Promise<void> => {
    for await (const [version, id, , , , mechanism, ...credentials] of handler) {
      const status = accepts(text(mechanism), credentials) ? ["200", "OK"] : ["400", "No"];
      await handler.send([version!, id!, ...status, "", ""]);
    }
  };
  void answer();
  return handler;
}

test("zmtp 50: libzmq publishes over CURVE to our subscriber, whole and in order", async () => {
  const pub = new libzmq.XPublisher({ ...LIBZMQ_SERVER, sendHighWaterMark: 0 });
  await pub.bind(FREE);
  await using sub = zmtp({ security: CURVE_CLIENT }).subscriber();
  sub.subscribe("kv");
  sub.connect(pub.lastEndpoint!);
  assert.equal(text((await pub.receive())[0]), "\x01kv");
  const count = 2_000;
  const size = (i: number): number => (i * 37) % 20_000;
  const sending = (async () => {
    for (let i = 0; i < count; i += 1) await pub.send(["kv", `${i}`, Buffer.alloc(size(i), i)]);
  })();
  const received = await take(sub, count);
  await sending;
  for (const [i, [topic, number, body]] of received.entries()) {
    assert.deepEqual([text(topic), Number(text(number)), body?.length], ["kv", i, size(i)]);
    assert.ok(body?.every((byte) => byte === (i & 255)));
  }
  sub.unsubscribe("kv");
  assert.equal(text((await pub.receive())[0]), "\x00kv");
  pub.close();
});

test("zmtp 50: our publisher publishes over CURVE to libzmq, topics of up to 260 bytes", async () => {
  const keys: string[] = [];
  const subscribed = deferred();
  let topics = 0;
  const authenticate = ({ publicKey }: { readonly publicKey: string }): boolean => {
    keys.push(publicKey);
    return publicKey === CLIENT.publicKey;
  };
  await using pub = zmtp({ security: { ...CURVE_SERVER, authenticate } }).publisher({
    onSubscription: () => {
      topics += 1;
      if (topics === 2) subscribed.resolve();
    },
  });
  const sub = new libzmq.Subscriber({ ...LIBZMQ_CLIENT, receiveHighWaterMark: 0 });
  const long = "t".repeat(260);
  sub.subscribe("kv", long);
  sub.connect(await pub.bind("tcp://127.0.0.1:0"));
  await subscribed.promise;
  pub.send([bytes(long), bytes("")]);
  const count = 2_000;
  for (let i = 0; i < count; i += 1) pub.send([bytes("kv"), bytes(`${i}`), Buffer.alloc((i * 37) % 20_000, i)]);
  assert.deepEqual((await sub.receive()).map(text), [long, ""]);
  for (let i = 0; i < count; i += 1) {
    const [, number, body] = await sub.receive();
    assert.deepEqual([Number(text(number)), body?.length], [i, (i * 37) % 20_000]);
  }
  assert.deepEqual(keys, [CLIENT.publicKey]);
  sub.close();
});

test("zmtp 50: our dealer talks over CURVE to libzmq's router, and its router answers", async () => {
  const router = new libzmq.Router(LIBZMQ_SERVER);
  await router.bind(FREE);
  await using dealer = zmtp({ security: CURVE_CLIENT }).dealer();
  dealer.send([bytes(""), Buffer.from("000000000000002a", "hex")]);
  dealer.connect(router.lastEndpoint!);
  const [identity, ...frames] = await router.receive();
  assert.deepEqual(
    frames.map((body) => body.toString("hex")),
    ["", "000000000000002a"],
  );
  await router.send([identity!, "", Buffer.alloc(100_000, 7)]);
  assert.deepEqual(
    (await take(dealer, 1))[0]?.map((body) => body.length),
    [0, 100_000],
  );
  router.close();
});

test("zmtp 50: libzmq's dealer talks over CURVE to our router, by its own identity", async () => {
  await using router = zmtp({ security: CURVE_SERVER }).router({ mandatory: true });
  const dealer = new libzmq.Dealer({ ...LIBZMQ_CLIENT, routingId: "engine 7" });
  dealer.connect(await router.bind("tcp://127.0.0.1:0"));
  await dealer.send(["", "question"]);
  assert.deepEqual(texts(await take(router, 1)), [["engine 7", "", "question"]]);
  assert.equal(router.send([bytes("engine 7"), bytes(""), bytes("answer")]), true);
  assert.deepEqual((await dealer.receive()).map(text), ["", "answer"]);
  dealer.close();
});

test("zmtp 50: libzmq with another key is told as wrong server key, and tried again slowly", async () => {
  const other = libzmq.curveKeyPair();
  const pub = new libzmq.Publisher({ ...LIBZMQ_SERVER, curveSecretKey: other.secretKey });
  await pub.bind(FREE);
  const clock = new ManualClock();
  const states = new States();
  await using sub = zmtp({ security: CURVE_CLIENT, clock, reconnectMinMs: 1, protocolRetryMs: 4_000 }).subscriber({
    onConnection: states.listener,
  });
  sub.connect(pub.lastEndpoint!);
  const { cause, retryInMs } = await states.next("waiting");
  assert.equal(cause.code, "authentication");
  assert.match(cause.message, /closed the connection at our HELLO; check that serverKey is its public key/);
  assert.ok(retryInMs >= 2_000, `${retryInMs}`);
  pub.close();
});

test("zmtp 50: libzmq that has the wrong server key is told by our server", async () => {
  const states = new States();
  await using pub = zmtp({ security: CURVE_SERVER }).publisher({ onConnection: states.listener });
  const sub = new libzmq.Subscriber({ ...LIBZMQ_CLIENT, curveServerKey: CLIENT.publicKey });
  sub.connect(await pub.bind("tcp://127.0.0.1:0"));
  const { cause } = await states.next("closed");
  assert.equal(cause?.code, "authentication");
  assert.match(cause!.message, /HELLO was sealed for another server; check the serverKey of the client/);
  sub.close();
});

test("zmtp 50: libzmq that our authenticate refuses learns that it is refused, by ZAP's code", async () => {
  await using pub = zmtp({ security: { ...CURVE_SERVER, authenticate: () => false } }).publisher();
  const sub = new libzmq.Subscriber(LIBZMQ_CLIENT);
  const refused = new Promise<number | undefined>((resolve) => {
    sub.events.on("handshake:error:auth", ({ error }) => resolve(error.status));
  });
  sub.connect(await pub.bind("tcp://127.0.0.1:0"));
  assert.equal(await refused, 400);
  sub.close();
});

test("zmtp 50: libzmq's ZAP handler sees our key, and its refusal is told as one", async () => {
  const seen: string[] = [];
  const zap = await startZap((mechanism, [key]) => {
    seen.push(mechanism, key!.toString("hex"));
    return false;
  });
  const pub = new libzmq.Publisher({ ...LIBZMQ_SERVER, zapDomain: "test" });
  await pub.bind(FREE);
  const states = new States();
  await using sub = zmtp({ security: CURVE_CLIENT }).subscriber({ onConnection: states.listener });
  sub.connect(pub.lastEndpoint!);
  const { cause } = await states.next("waiting");
  assert.equal(cause.code, "authentication");
  assert.match(cause.message, /the peer does not accept us: "400"/);
  assert.equal(seen[0], "CURVE");
  pub.close();
  zap.close();
});

for (const [what, password, isWelcome] of [
  ["lets in", "sesame", true],
  ["refuses", "wrong", false],
] as const) {
  test(`plain: libzmq's server ${what} our client by its password`, async () => {
    const zap = await startZap((mechanism, [username, given]) => {
      assert.deepEqual([mechanism, text(username)], ["PLAIN", "gateway"]);
      return text(given) === "sesame";
    });
    const router = new libzmq.Router({ linger: 0, plainServer: true, zapDomain: "test" });
    await router.bind(FREE);
    const states = new States();
    await using dealer = zmtp({ security: { ...PLAIN_CLIENT, password } }).dealer({ onConnection: states.listener });
    dealer.send([bytes("hello")]);
    dealer.connect(router.lastEndpoint!);
    if (isWelcome) assert.equal(text((await router.receive())[1]), "hello");
    else assert.equal((await states.next("waiting")).cause.code, "authentication");
    router.close();
    zap.close();
  });

  test(`plain: our server ${what} libzmq's client by its password`, async () => {
    const states = new States();
    const authenticate = async (asked: { readonly username: string; readonly password: string }): Promise<boolean> =>
      asked.username === "gateway" && asked.password === "sesame";
    await using router = zmtp({ security: { mechanism: "PLAIN", role: "server", authenticate } }).router({
      onConnection: states.listener,
    });
    const dealer = new libzmq.Dealer({ linger: 0, plainUsername: "gateway", plainPassword: password });
    dealer.connect(await router.bind("tcp://127.0.0.1:0"));
    await dealer.send(["hello"]);
    if (isWelcome) assert.equal(text((await take(router, 1))[0]?.[1]), "hello");
    else assert.equal((await states.next("closed")).cause?.code, "authentication");
    dealer.close();
  });
}

test("plain: libzmq without a ZAP handler refuses everybody, which is told as a refusal", async () => {
  const pub = new libzmq.Publisher({ linger: 0, plainServer: true });
  await pub.bind(FREE);
  const states = new States();
  await using sub = zmtp({ security: PLAIN_CLIENT }).subscriber({ onConnection: states.listener });
  sub.connect(pub.lastEndpoint!);
  const { cause } = await states.next("waiting");
  assert.equal(cause.code, "authentication");
  assert.match(cause.message, /closed the connection at our HELLO; check the user name and the password/);
  pub.close();
});

test("zmtp 16: libzmq of CURVE and ours of PLAIN do not come together, which is told", async () => {
  const pub = new libzmq.Publisher(LIBZMQ_SERVER);
  await pub.bind(FREE);
  const states = new States();
  await using sub = zmtp({ security: PLAIN_CLIENT }).subscriber({ onConnection: states.listener });
  sub.connect(pub.lastEndpoint!);
  assert.match((await states.next("waiting")).cause.code, /^(mechanism-mismatch|disconnected)$/);
  pub.close();
});
