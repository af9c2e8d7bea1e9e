import assert from "node:assert/strict";
import { test } from "node:test";
import type { Router, Subscriber } from "../../../src/transport.ts";
import type { CurveRequest } from "../../../transports/zmtp/authentication.ts";
import { generateCurveKeys, type ZmtpOptions, type ZmtpSecurity, zmtp } from "../../../transports/zmtp/index.ts";
import { encodeFrame } from "../../../transports/zmtp/wire.ts";
import { flipped } from "./security-support.ts";
import {
  bytes,
  command,
  deferred,
  greeting,
  ManualClock,
  type RawPeer,
  RawServer,
  rawConnect,
  States,
  take,
  text,
  texts,
} from "./support.ts";

const { publicKey: serverKey, secretKey } = generateCurveKeys();
const clientKeys = generateCurveKeys();

const CURVE_CLIENT: ZmtpSecurity = { mechanism: "CURVE", role: "client", serverKey, secretKey: clientKeys.secretKey };
const CURVE_SERVER: ZmtpSecurity = { mechanism: "CURVE", role: "server", secretKey };
const PLAIN_CLIENT: ZmtpSecurity = { mechanism: "PLAIN", role: "client", username: "gateway", password: "sesame" };

/** The two mechanisms with servers that ask, and what clients they know are called. */
const ASKING = [
  {
    name: "PLAIN",
    client: PLAIN_CLIENT,
    server: (authenticate: () => boolean | Promise<boolean>): ZmtpSecurity => ({
      mechanism: "PLAIN",
      role: "server",
      authenticate,
    }),
  },
  {
    name: "CURVE",
    client: CURVE_CLIENT,
    server: (authenticate: () => boolean | Promise<boolean>): ZmtpSecurity => ({ ...CURVE_SERVER, authenticate }),
  },
] as const;

interface Pair extends AsyncDisposable {
  readonly router: Router;
  readonly routerStates: States;
  readonly states: States;
  readonly endpoint: string;
}

/** A router that is bound, and a dealer on its way to it. */
async function pair(server: ZmtpOptions, client: ZmtpOptions): Promise<Pair> {
  const routerStates = new States();
  const states = new States();
  const router = zmtp(server).router({ onConnection: routerStates.listener });
  const dealer = zmtp(client).dealer({ onConnection: states.listener });
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  dealer.send([bytes("hello")]);
  dealer.connect(endpoint);
  const close = async (): Promise<void> => {
    await Promise.all([dealer.close(), router.close()]);
  };
  return { router, routerStates, states, endpoint, [Symbol.asyncDispose]: close };
}

for (const { name, client, server } of ASKING) {
  test(`${name.toLowerCase()}: a client that is let in is ready on both sides, and what it queued arrives`, async () => {
    await using sockets = await pair({ security: server(async () => true) }, { security: client });
    await sockets.states.next("ready");
    await sockets.routerStates.next("ready");
    assert.equal(text((await take(sockets.router, 1))[0]?.[1]), "hello");
  });

  test(`${name.toLowerCase()}: a client that is refused is told so, retries slowly, and is let in once it is known`, async () => {
    const clock = new ManualClock();
    let isKnown = false;
    await using sockets = await pair(
      { security: server(() => isKnown) },
      { security: client, clock, reconnectMinMs: 1, protocolRetryMs: 4_000 },
    );
    const { cause: refusal } = await sockets.routerStates.next("closed");
    assert.equal(refusal?.code, "authentication");
    assert.match(refusal!.message, /^zmtp tcp:\/\/127\.0\.0\.1:\d+: authenticate refuses the client/);
    const { cause, retryInMs } = await sockets.states.next("waiting");
    assert.equal(cause.code, "authentication");
    assert.equal(cause.message, `zmtp ${sockets.endpoint}: the peer does not accept us: "400"; check our credentials`);
    assert.ok(retryInMs >= 2_000 && retryInMs <= 4_000, `${retryInMs}`);
    assert.ok(!sockets.states.statuses.includes("ready"));
    isKnown = true;
    clock.advance(retryInMs);
    await sockets.states.next("ready");
  });

  test(`${name.toLowerCase()}: an answer that does not come ends with the handshake's time, and is not heard later`, async () => {
    const clock = new ManualClock();
    const asked = deferred();
    const verdict = deferred<boolean>();
    const authenticate = (): Promise<boolean> => {
      asked.resolve();
      return verdict.promise;
    };
    await using sockets = await pair(
      { security: server(authenticate), clock, handshakeTimeoutMs: 700 },
      { security: client },
    );
    await asked.promise;
    clock.advance(700);
    const { cause } = await sockets.routerStates.next("closed");
    assert.equal(cause?.code, "handshake-timeout");
    assert.match(cause!.message, /authenticate gave no answer before the handshake's 700 ms were over; answer sooner/);
    verdict.resolve(true);
    await sockets.states.next("waiting");
    assert.deepEqual(sockets.routerStates.statuses.slice(0, 2), ["handshaking", "closed"]);
  });

  test(`${name.toLowerCase()}: closing while authenticate thinks leaves nothing behind`, async () => {
    const clock = new ManualClock();
    const asked = deferred();
    const verdict = deferred<boolean>();
    const authenticate = (): Promise<boolean> => {
      asked.resolve();
      return verdict.promise;
    };
    const sockets = await pair({ security: server(authenticate), clock }, { security: client });
    await asked.promise;
    await sockets.router.close();
    assert.equal(clock.pending, 0);
    assert.deepEqual(sockets.routerStates.statuses, ["handshaking", "closed"]);
    verdict.resolve(true);
    await sockets[Symbol.asyncDispose]();
    assert.deepEqual(sockets.routerStates.statuses, ["handshaking", "closed"]);
  });

  test(`${name.toLowerCase()}: a client that goes while authenticate thinks is noticed at once`, async () => {
    const asked = deferred();
    const verdict = deferred<boolean>();
    const authenticate = (): Promise<boolean> => {
      asked.resolve();
      return verdict.promise;
    };
    const clock = new ManualClock();
    const sockets = await pair(
      { security: server(authenticate) },
      { security: client, clock, handshakeTimeoutMs: 100 },
    );
    await using _ = sockets;
    await asked.promise;
    clock.advance(100);
    assert.equal(await sockets.states.cause(), "handshake-timeout");
    assert.equal(await sockets.routerStates.cause("closed"), "disconnected");
    verdict.resolve(true);
  });

  test(`zmtp 16: ${name} and NULL are a mismatch, in both directions`, async () => {
    await using sockets = await pair({ security: server(() => true) }, {});
    assert.equal((await sockets.states.next("waiting")).cause.code, "mechanism-mismatch");
    await using others = await pair({}, { security: client });
    assert.equal((await others.states.next("waiting")).cause.code, "mechanism-mismatch");
  });
}

test("curve: authenticate hears the address without the port, and as IPv4 where it is", async () => {
  const request = deferred<CurveRequest>();
  const authenticate = (asked: CurveRequest): boolean => {
    request.resolve(asked);
    return true;
  };
  await using router = zmtp({ security: { ...CURVE_SERVER, authenticate } }).router();
  await using dealer = zmtp({ security: CURVE_CLIENT }).dealer();
  dealer.connect((await router.bind("tcp://*:0")).replace(/.*:/, "tcp://127.0.0.1:"));
  const { address, publicKey } = await request.promise;
  assert.equal(address, "127.0.0.1");
  assert.equal(publicKey, clientKeys.publicKey);
});

test("curve: over ipc there is no address", async () => {
  const request = deferred<CurveRequest>();
  const authenticate = (asked: CurveRequest): boolean => {
    request.resolve(asked);
    return true;
  };
  await using router = zmtp({ security: { ...CURVE_SERVER, authenticate } }).router();
  await using dealer = zmtp({ security: CURVE_CLIENT }).dealer();
  dealer.connect(await router.bind("ipc://*"));
  assert.equal((await request.promise).address, "");
});

test("zmtp 50: the wrong server key is told on both sides, and retried slowly", async () => {
  const clock = new ManualClock();
  const security: ZmtpSecurity = { ...CURVE_CLIENT, serverKey: clientKeys.publicKey };
  await using sockets = await pair(
    { security: CURVE_SERVER },
    { security, clock, reconnectMinMs: 1, protocolRetryMs: 4_000 },
  );
  const { cause, retryInMs } = await sockets.states.next("waiting");
  assert.equal(cause.code, "authentication");
  assert.match(cause.message, /closed the connection at our HELLO; check that serverKey is its public key/);
  assert.ok(retryInMs >= 2_000, `${retryInMs}`);
  const closed = await sockets.routerStates.next("closed");
  assert.equal(closed.cause?.code, "authentication");
  assert.match(closed.cause!.message, /HELLO was sealed for another server/);
});

test("zmtp 50: who binds and who connects has nothing to do with who is the server", async () => {
  const states = new States();
  await using sub = zmtp({ security: CURVE_CLIENT }).subscriber({ onConnection: states.listener });
  sub.subscribe("kv");
  const subscribed = deferred();
  await using pub = zmtp({ security: CURVE_SERVER }).publisher({ onSubscription: () => subscribed.resolve() });
  pub.connect(await sub.bind("tcp://127.0.0.1:0"));
  await subscribed.promise;
  pub.send([bytes("kv"), bytes("up")]);
  assert.deepEqual(texts(await take(sub, 1)), [["kv", "up"]]);
});

/** Stands between a subscriber and a publisher of CURVE, and can do to each frame what it likes. */
class MiddleMan implements AsyncDisposable {
  readonly #server: RawServer;
  readonly #peers: RawPeer[] = [];

  private constructor(server: RawServer) {
    this.#server = server;
  }

  static async start(): Promise<MiddleMan> {
    return new MiddleMan(await RawServer.start());
  }

  get endpoint(): string {
    return this.#server.endpoint;
  }

  /** Passes one connection's frames on; what the publisher sends goes through `change`, `index` from 0 for WELCOME. */
  async serve(endpoint: string, change: (frame: Uint8Array, index: number) => readonly Uint8Array[]): Promise<void> {
    const subscriber = await this.#server.accept();
    const publisher = await rawConnect(endpoint);
    this.#peers.push(subscriber, publisher);
    await Promise.all([forward(subscriber, publisher, (frame) => [frame]), forward(publisher, subscriber, change)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) peer.socket.destroy();
    await this.#server.close();
  }
}

async function forward(
  from: RawPeer,
  to: RawPeer,
  change: (frame: Uint8Array, index: number) => readonly Uint8Array[],
): Promise<void> {
  try {
    await to.write(await from.read(64));
    for (let index = 0; ; index += 1) {
      const { flags, body } = await from.readFrame();
      await to.write(...change(encodeFrame(flags & ~2, body), index));
    }
  } catch {
    // One side has closed, which the other is told.
    to.socket.destroy();
  }
}

/** The publisher's first message, behind WELCOME and READY. */
const FIRST_MESSAGE = 2;

for (const [what, code, words, change] of [
  [
    "a frame that comes twice",
    "protocol",
    /nonce was used before: it is replayed/,
    (frame: Uint8Array) => [frame, frame],
  ],
  [
    "a frame with one bit changed",
    "authentication",
    /frame that the peer did not seal/,
    (f: Uint8Array) => [flipped(f, 30)],
  ],
  ["a frame that is cut off", "protocol", /is no MESSAGE of CURVE/, () => [encodeFrame(0, bytes("\x07MESSAGE"))]],
  ["a frame in clear text", "protocol", /is no MESSAGE of CURVE/, () => [encodeFrame(0, bytes("kv"))]],
] as const) {
  test(`zmtp 50: ${what} on the way ends the connection, is told and retried slowly`, async () => {
    const clock = new ManualClock();
    const states = new States();
    const subscribed = deferred();
    await using pub = zmtp({ security: CURVE_SERVER }).publisher({ onSubscription: () => subscribed.resolve() });
    const endpoint = await pub.bind("tcp://127.0.0.1:0");
    await using middle = await MiddleMan.start();
    await using sub: Subscriber = zmtp({
      security: CURVE_CLIENT,
      clock,
      reconnectMinMs: 1,
      protocolRetryMs: 4_000,
    }).subscriber({
      onConnection: states.listener,
    });
    sub.subscribe("kv");
    sub.connect(middle.endpoint);
    const served = middle.serve(endpoint, (frame, index) => (index === FIRST_MESSAGE ? change(frame) : [frame]));
    await subscribed.promise;
    pub.send([bytes("kv")]);
    const { cause, retryInMs } = await states.next("waiting");
    assert.equal(cause.code, code);
    assert.match(cause.message, words);
    assert.ok(retryInMs >= 2_000, `${retryInMs}`);
    await served;
  });
}

test("zmtp 19: a server of CURVE is silent until it is spoken to, but for its greeting", async () => {
  await using pub = zmtp({ security: CURVE_SERVER }).publisher();
  const peer = await rawConnect(await pub.bind("tcp://127.0.0.1:0"));
  await peer.write(greeting(3, 1, "CURVE"), command("HELLO", Buffer.alloc(10)));
  const sent = await peer.readToEnd();
  assert.equal(sent.length, 64);
  assert.equal(text(sent.subarray(12, 17)), "CURVE");
  assert.equal(sent[32], 1);
});

test("zmtp 22: a server of CURVE does not wait for a client that stays silent", async () => {
  const clock = new ManualClock();
  const states = new States();
  const security = CURVE_SERVER;
  await using pub = zmtp({ security, clock, handshakeTimeoutMs: 300 }).publisher({ onConnection: states.listener });
  const peer = await rawConnect(await pub.bind("tcp://127.0.0.1:0"));
  await peer.write(greeting(3, 1, "CURVE"));
  await states.next("handshaking");
  clock.advance(300);
  assert.equal(await states.cause("closed"), "handshake-timeout");
});
