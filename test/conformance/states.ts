import assert from "node:assert/strict";
import type { ConnectionState } from "../../src/transport.ts";
import { message, readerOf, text, texts } from "../support/messages.ts";
import { type StateEntry, stateLog } from "../support/state-log.ts";
import { type ConformanceTest, heard, joined } from "./bench.ts";

type Status = ConnectionState["status"];

const NEXT: Readonly<Record<Status, readonly Status[]>> = {
  connecting: ["handshaking", "waiting", "closed"],
  handshaking: ["ready", "waiting", "closed"],
  ready: ["waiting", "closed"],
  waiting: ["connecting", "closed"],
  closed: [],
};

/** One connection's states follow one another as they can. */
function assertPossible(entries: readonly StateEntry[], first: Status): void {
  const statuses = entries.map(({ state }) => state.status);
  assert.equal(statuses[0], first);
  for (let i = 1; i < statuses.length; i += 1) {
    assert.ok(NEXT[statuses[i - 1]!].includes(statuses[i]!), `${statuses.join(" > ")}: entry ${i}`);
  }
}

/** What a connection is doing, and what is left of it when it comes back. */
export const stateTests: readonly ConformanceTest[] = [
  {
    name: "a connection connects, shakes hands, is ready and is closed",
    needs: ["client.connectionStates"],
    async run(bench) {
      const log = stateLog();
      const { subscriber, reader, publisher, endpoint } = await bench.pubSub([""], {
        subscriber: { onConnection: log.listener },
      });
      await log.next("ready");
      publisher.send(message("x"));
      const { connectionId } = await reader.next();
      await subscriber.close();
      assert.deepEqual(log.entries, [
        { endpoint, state: { status: "connecting", attempt: 1 } },
        { endpoint, state: { status: "handshaking" } },
        { endpoint, state: { status: "ready", connectionId } },
        { endpoint, state: { status: "closed" } },
      ]);
    },
  },
  {
    name: "an accepted connection shakes hands, is ready, and is closed when the peer leaves",
    needs: ["server.connectionStates"],
    async run(bench) {
      const log = stateLog();
      const { endpoint } = await bench.publisher({ onConnection: log.listener });
      const { subscriber } = bench.subscriber([endpoint], [""]);
      await log.next("ready");
      await subscriber.close();
      const { cause } = await log.next("closed");
      assert.equal(cause?.code, "disconnected");
      assert.deepEqual(log.statuses, ["handshaking", "ready", "closed"]);
      assert.equal(new Set(log.entries.map((entry) => entry.endpoint)).size, 1);
      assert.match(log.entries[0]!.endpoint, /^[a-z]+:\/\/./);
    },
  },
  {
    name: "where nobody listens the connection waits, refused, and is made when somebody does",
    needs: ["client.connectionStates"],
    async run(bench) {
      const log = stateLog();
      const endpoint = await bench.vacantEndpoint();
      bench.subscriber([endpoint], [""], { onConnection: log.listener });
      const waiting = await log.next("waiting");
      assert.equal(waiting.cause.code, "refused");
      assert.match(waiting.cause.message, /\S+ \S+: .+/);
      assert.ok(waiting.retryInMs > 0);
      assert.equal(waiting.attempt, 2);
      assert.equal((await log.next("connecting")).attempt, 2);
      assert.deepEqual(
        log.statuses.filter((status) => status === "ready" || status === "handshaking"),
        [],
      );
      await bench.publisher({}, endpoint);
      await log.next("ready");
      assertPossible(log.entries, "connecting");
    },
  },
  {
    name: "subscriptions survive a server that restarts, and the new connection has a higher number",
    needs: ["client.connectionStates"],
    async run(bench) {
      const log = stateLog();
      const first = await bench.publisher();
      const reading = bench.subscriber([first.endpoint], ["kv"], { onConnection: log.listener });
      await joined(first, [reading]);
      first.publisher.send(message("kv", "first"));
      const one = await reading.reader.next();
      await first.publisher.close();
      assert.equal((await log.next("waiting")).cause.code, "disconnected");
      const second = await bench.publisher({}, first.endpoint);
      await joined(second, [reading]);
      second.publisher.send(message("other", "not asked for"));
      second.publisher.send(message("kv", "second"));
      const two = await reading.reader.next();
      assert.deepEqual(texts([one.message, two.message]), [
        ["kv", "first"],
        ["kv", "second"],
      ]);
      assert.ok(two.connectionId > one.connectionId);
      assertPossible(log.entries, "connecting");
    },
  },
  {
    name: "a connection is ready before its messages come, and over before those of the next",
    needs: ["client.connectionStates"],
    async run(bench) {
      const log = stateLog();
      const first = await bench.publisher();
      const reading = bench.subscriber([first.endpoint], ["kv"], { onConnection: log.listener });
      const isReady = (id: number): boolean => {
        const last = log.entries.at(-1)?.state;
        return last?.status === "ready" && last.connectionId === id;
      };
      await joined(first, [reading]);
      first.publisher.send(message("kv"));
      assert.ok(isReady((await reading.reader.next()).connectionId));
      await first.publisher.close();
      const second = await bench.publisher({}, first.endpoint);
      await joined(second, [reading]);
      second.publisher.send(message("kv"));
      assert.ok(isReady((await reading.reader.next()).connectionId));
    },
  },
  {
    name: "all topics are subscribed to again, though nobody reads",
    needs: ["client.connectionStates", "server.subscriptionEvents"],
    async run(bench) {
      const log = stateLog();
      const topics = Array.from({ length: 2_000 }, (_, i) => `topic ${i}`);
      const first = await bench.publisher();
      bench.subscriber([first.endpoint], topics, { onConnection: log.listener });
      await first.watch.count(topics.length);
      await first.publisher.close();
      await log.next("waiting");
      const second = await bench.publisher({}, first.endpoint);
      await second.watch.count(topics.length);
      assert.deepEqual(second.watch.seen.slice().sort(), topics.map((topic) => `+${topic}`).sort());
    },
  },
  {
    name: "a peer of the wrong kind is reported, and disturbs nobody else",
    needs: ["client.connectionStates", "client.socketTypes"],
    async run(bench) {
      const log = stateLog();
      const router = bench.open(bench.server.router());
      const endpoint = await router.bind(bench.endpoint());
      bench.subscriber([endpoint], [""], { onConnection: log.listener });
      assert.equal((await log.next("waiting")).cause.code, "socket-type-mismatch");
      const dealer = bench.open(bench.client.dealer());
      dealer.connect(endpoint);
      dealer.send(message("hello"));
      assert.equal(text((await readerOf(router).next()).message[1]), "hello");
      assert.ok(!log.statuses.includes("ready"));
      assertPossible(log.entries, "connecting");
    },
  },
  {
    name: "disconnecting ends one connection and no other, and connecting again makes a new one",
    needs: ["client.connectionStates"],
    async run(bench) {
      const log = stateLog();
      const [a, b] = [await bench.publisher(), await bench.publisher()];
      const reading = bench.subscriber([a.endpoint, b.endpoint], ["kv"], { onConnection: log.listener });
      for (const bound of [a, b]) await joined(bound, [reading]);
      reading.subscriber.disconnect(a.endpoint);
      reading.subscriber.disconnect("tcp://127.0.0.1:1");
      await log.next("closed");
      a.publisher.send(message("kv", "a, unheard"));
      b.publisher.send(message("kv", "b"));
      assert.equal(text((await reading.reader.next()).message[1]), "b");
      reading.subscriber.connect(a.endpoint);
      await heard(a.publisher, [reading]);
      a.publisher.send(message("kv", "a again"));
      assert.equal(text((await reading.reader.next()).message[1]), "a again");
      assert.deepEqual(
        log.entries.filter(({ state }) => state.status === "closed").map(({ endpoint }) => endpoint),
        [a.endpoint],
      );
    },
  },
];
