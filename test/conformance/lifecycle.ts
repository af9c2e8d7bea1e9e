import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import type { MessageBatch, Receiver, Socket, Transport } from "../../src/transport.ts";
import { message, readerOf, text, texts } from "../support/messages.ts";
import { stateLog } from "../support/state-log.ts";
import { type Bench, type ConformanceTest, hasCode, heard } from "./bench.ts";

/** What keeps a process alive, or would: sockets, timers, name look-ups; but not what belongs to the test runner. */
function handles(): string[] {
  return process
    .getActiveResourcesInfo()
    .filter((name) => /TCP|UDP|Timeout|GetAddrInfo|Connect|Shutdown|Immediate/.test(name))
    .sort();
}

/** What is there now and was not before; what was the test runner's then may have gone. */
function newHandles(before: readonly string[]): string[] {
  const known = [...before];
  return handles().filter((name) => {
    const at = known.indexOf(name);
    if (at >= 0) known.splice(at, 1);
    return at < 0;
  });
}

/** A handle that is being closed goes in one of the next turns; one that was forgotten stays. */
const MOST_TURNS = 200;

async function assertNoNewHandles(before: readonly string[]): Promise<void> {
  for (let i = 0; i < MOST_TURNS && newHandles(before).length > 0; i += 1) await turn();
  assert.deepEqual(newHandles(before), []);
}

function allFour(transport: Transport): Socket[] {
  return [transport.subscriber(), transport.dealer(), transport.publisher(), transport.router()];
}

async function drain(receiver: Receiver, signal?: AbortSignal): Promise<MessageBatch[]> {
  const batches: MessageBatch[] = [];
  for await (const batch of receiver.receive(signal === undefined ? {} : { signal })) batches.push(batch);
  return batches;
}

/** Brings a socket into a state and closes it there; what else it opens is closed too. */
const CLOSED_WHILE: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  "it was never used": async (bench) => {
    await Promise.all(allFour(bench.client).map((socket) => socket.close()));
  },
  "it begins to connect": async (bench) => {
    const { endpoint, publisher } = await bench.publisher();
    const subscriber = bench.client.subscriber();
    subscriber.connect(endpoint);
    await subscriber.close();
    await publisher.close();
  },
  "it waits for somebody to listen": async (bench) => {
    const log = stateLog();
    const dealer = bench.client.dealer({ onConnection: log.listener });
    dealer.connect(await bench.vacantEndpoint());
    dealer.send(message("never arrives"));
    if (bench.client.capabilities.connectionStates) await log.next("waiting");
    await dealer.close();
  },
  "it shakes hands": async (bench) => {
    const { endpoint, publisher } = await bench.publisher();
    let closing: Promise<void> | undefined;
    const log = stateLog();
    const subscriber = bench.client.subscriber({
      onConnection: (at, state) => {
        if (state.status === "handshaking") closing = subscriber.close();
        log.listener(at, state);
      },
    });
    subscriber.connect(endpoint);
    if (bench.client.capabilities.connectionStates) await log.next("closed");
    else await subscriber.close();
    await closing;
    await publisher.close();
  },
  "it is ready, with messages that nobody reads": async (bench) => {
    const { publisher, subscriber } = await bench.pubSub([""], { subscriber: { receiveHighWaterMark: 2 } });
    for (let i = 0; i < 100; i += 1) publisher.send([new Uint8Array(10_000)]);
    await turn();
    await subscriber.close();
    await publisher.close();
  },
  "it begins to listen": async (bench) => {
    const publisher = bench.server.publisher();
    const binding = publisher.bind(bench.endpoint()).catch(() => {});
    await publisher.close();
    await binding;
  },
};

/** How sockets end, and what they refuse. */
export const lifecycleTests: readonly ConformanceTest[] = [
  ...Object.entries(CLOSED_WHILE).map(
    ([state, run]): ConformanceTest => ({
      name: `a socket that closes while ${state} leaves no handle`,
      async run(bench) {
        const before = handles();
        await run(bench);
        await bench.close();
        await assertNoNewHandles(before);
      },
    }),
  ),
  {
    name: "closing ends receive, that which waits and every later one",
    async run(bench) {
      const subscriber = bench.open(bench.client.subscriber());
      const waiting = drain(subscriber);
      await turn();
      await subscriber.close();
      assert.deepEqual(await waiting, []);
      assert.deepEqual(await drain(subscriber), []);
    },
  },
  {
    name: "closing again, and disposing, is the same as closing once",
    async run(bench) {
      for (const socket of allFour(bench.client)) {
        await Promise.all([socket.close(), socket.close(), socket[Symbol.asyncDispose]()]);
        await socket.close();
      }
      {
        await using disposed = bench.client.subscriber();
        bench.open(disposed);
      }
    },
  },
  {
    name: "disposing closes",
    async run(bench) {
      const dealer = bench.open(bench.client.dealer());
      await dealer[Symbol.asyncDispose]();
      assert.throws(() => dealer.send(message("x")), hasCode("closed"));
    },
  },
  {
    name: "a closed socket refuses everything but to disconnect and to close",
    async run(bench) {
      const endpoint = await bench.vacantEndpoint();
      const { client } = bench;
      const [subscriber, dealer, publisher, router] = [
        client.subscriber(),
        client.dealer(),
        client.publisher(),
        client.router(),
      ];
      for (const socket of [subscriber, dealer, publisher, router]) {
        await socket.close();
        socket.disconnect(endpoint);
        assert.throws(() => socket.connect(endpoint), hasCode("closed"));
        await assert.rejects(socket.bind(bench.endpoint()), hasCode("closed"));
      }
      assert.throws(() => subscriber.subscribe("kv"), hasCode("closed"));
      assert.throws(() => subscriber.unsubscribe("kv"), hasCode("closed"));
      assert.throws(() => dealer.send(message("x")), hasCode("closed"));
      assert.throws(() => publisher.send(message("x")), hasCode("closed"));
      assert.throws(() => router.send(message("nobody", "x")), hasCode("closed"));
    },
  },
  {
    name: "what was sent before an orderly close arrives",
    async run(bench) {
      const { publisher, reader } = await bench.pubSub(["kv"]);
      const router = bench.open(bench.server.router());
      const dealer = bench.open(bench.client.dealer());
      dealer.connect(await router.bind(bench.endpoint()));
      const requests = readerOf(router);
      dealer.send(message("hello"));
      await requests.next();
      for (let i = 0; i < 100; i += 1) {
        publisher.send(message("kv", `${i}`));
        dealer.send(message(`${i}`));
      }
      await Promise.all([publisher.close(), dealer.close()]);
      const expected = Array.from({ length: 100 }, (_, i) => `${i}`);
      assert.deepEqual(
        texts(await reader.take(100)).map(([, name]) => name),
        expected,
      );
      assert.deepEqual(
        texts(await requests.take(100)).map(([, name]) => name),
        expected,
      );
    },
  },
  {
    name: "a signal ends receive with its reason, and loses nothing",
    async run(bench) {
      const { publisher, subscriber, reader } = await bench.pubSub(["kv"]);
      publisher.send(message("kv", "before"));
      assert.equal(text((await reader.next()).message[1]), "before");
      const reason = new Error("enough");
      const controller = new AbortController();
      const waiting = drain(subscriber, controller.signal);
      await turn();
      controller.abort(reason);
      await assert.rejects(waiting, (error) => error === reason);
      await assert.rejects(drain(subscriber, AbortSignal.abort(reason)), (error) => error === reason);
      publisher.send(message("kv", "after"));
      assert.equal(text((await reader.next()).message[1]), "after");
    },
  },
  {
    name: "a consumer that stops leaves the rest to the next",
    async run(bench) {
      const { publisher, subscriber } = await bench.pubSub(["kv"]);
      const received: string[] = [];
      for (let sent = 0; sent < 10; sent += 1) {
        publisher.send(message("kv", `${sent}`));
        for await (const { messages } of subscriber.receive()) {
          received.push(...texts(messages).map(([, name]) => name!));
          break;
        }
      }
      assert.deepEqual(received, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    },
  },
  {
    name: "an endpoint that cannot be read is refused, and the socket goes on",
    async run(bench) {
      const { endpoint, publisher, subscriber, reader } = await bench.pubSub(["kv"]);
      for (const invalid of ["", "nonsense", "tcp://", "tcp://127.0.0.1:99999"]) {
        assert.throws(() => subscriber.connect(invalid), hasCode("invalid-endpoint"));
        await assert.rejects(subscriber.bind(invalid), hasCode("invalid-endpoint"));
      }
      subscriber.connect(endpoint);
      publisher.send(message("kv", "goes on"));
      assert.deepEqual(texts(await reader.take(1)), [["kv", "goes on"]]);
    },
  },
  {
    name: "an endpoint that is taken cannot be bound, and can when it is free again",
    async run(bench) {
      const { endpoint, publisher } = await bench.publisher();
      const other = bench.open(bench.server.publisher());
      await assert.rejects(other.bind(endpoint), hasCode("address-in-use"));
      await publisher.close();
      assert.equal(await other.bind(endpoint), endpoint);
    },
  },
  {
    name: "two sockets that bind a free endpoint get two",
    async run(bench) {
      const [one, two] = [await bench.publisher(), await bench.publisher()];
      assert.notEqual(one.endpoint, two.endpoint);
      for (const { endpoint } of [one, two]) assert.doesNotMatch(endpoint, /\*|:0$|0\.0\.0\.0|\[::\]/);
    },
  },
  {
    name: "an aborted bind rejects with the reason and leaves the endpoint free",
    async run(bench) {
      const endpoint = await bench.vacantEndpoint();
      const reason = new Error("changed my mind");
      const publisher = bench.open(bench.server.publisher());
      const aborted = publisher.bind(endpoint, { signal: AbortSignal.abort(reason) });
      await assert.rejects(aborted, (error) => error === reason);
      assert.equal(await publisher.bind(endpoint), endpoint);
    },
  },
  {
    name: "two sockets of one transport have nothing to do with each other",
    async run(bench) {
      const { publisher, endpoint, reader } = await bench.pubSub(["a"]);
      const other = bench.subscriber([endpoint], ["b"]);
      await heard(publisher, [other]);
      await other.subscriber.close();
      publisher.send(message("b", "for nobody"));
      publisher.send(message("a", "for the first"));
      assert.deepEqual(texts(await reader.take(1)), [["a", "for the first"]]);
    },
  },
];
