import assert from "node:assert/strict";
import type { Dealer, Router } from "../../src/transport.ts";
import { assertMessage, bytes, message, readerOf, text, texts } from "../support/messages.ts";
import { stateLog } from "../support/state-log.ts";
import { type Bench, type ConformanceTest, hasCode } from "./bench.ts";

/** As a subscriber asks an engine for a replay: an empty frame and a sequence. */
function request(sequence: number): Uint8Array[] {
  return [bytes(""), sequenceOf(sequence)];
}

function sequenceOf(sequence: number): Uint8Array {
  const frame = Buffer.alloc(8);
  frame.writeBigUInt64BE(BigInt(sequence));
  return frame;
}

async function dealerAndRouter(bench: Bench): Promise<{ dealer: Dealer; router: Router; endpoint: string }> {
  const options = { sendHighWaterMark: 100_000, receiveHighWaterMark: 100_000 };
  const router = bench.open(bench.server.router(options));
  const endpoint = await router.bind(bench.endpoint());
  const dealer = bench.open(bench.client.dealer(options));
  dealer.connect(endpoint);
  return { dealer, router, endpoint };
}

/** What a dealer asks, and a router answers. */
export const requestTests: readonly ConformanceTest[] = [
  {
    name: "a router gets a dealer's frames behind an identity, and the dealer the answer's without",
    async run(bench) {
      const { dealer, router } = await dealerAndRouter(bench);
      dealer.send(request(42));
      const [question] = await readerOf(router).take(1);
      const [identity, ...frames] = question!;
      assert.ok(identity!.length > 0);
      assertMessage(frames, ["", sequenceOf(42)]);
      assert.equal(router.send([identity!, bytes(""), sequenceOf(42), bytes("payload")]), true);
      const [answer] = await readerOf(dealer).take(1);
      assertMessage(answer!, ["", sequenceOf(42), "payload"]);
    },
  },
  {
    name: "large requests and answers pass",
    async run(bench) {
      const { dealer, router } = await dealerAndRouter(bench);
      const large = new Uint8Array(1_048_576).fill(3);
      dealer.send([large, bytes("")]);
      const [question] = await readerOf(router).take(1);
      assertMessage(question!.slice(1), [large, ""]);
      router.send(question!);
      assertMessage((await readerOf(dealer).take(1))[0]!, [large, ""]);
    },
  },
  {
    name: "a dealer keeps what is sent before it connects and before anybody listens",
    async run(bench) {
      const endpoint = await bench.vacantEndpoint();
      const dealer = bench.open(bench.client.dealer());
      const frame = bytes("1");
      dealer.send([frame]);
      frame.fill(0);
      dealer.connect(endpoint);
      dealer.send(message("2", ""));
      const router = bench.open(bench.server.router());
      await router.bind(endpoint);
      const received = await readerOf(router).take(2);
      assert.deepEqual(
        texts(received).map(([, ...frames]) => frames),
        [["1"], ["2", ""]],
      );
    },
  },
  {
    name: "a dealer's queue has an end, and what it took is sent in order",
    async run(bench) {
      const endpoint = await bench.vacantEndpoint();
      const dealer = bench.open(bench.client.dealer({ sendHighWaterMark: 5 }));
      dealer.connect(endpoint);
      for (let i = 0; i < 5; i += 1) dealer.send(message(`${i}`));
      assert.throws(() => dealer.send(message("too many")), hasCode("high-water-mark"));
      const router = bench.open(bench.server.router());
      await router.bind(endpoint);
      const reader = readerOf(router);
      assert.deepEqual(
        texts(await reader.take(5)).map(([, name]) => name),
        ["0", "1", "2", "3", "4"],
      );
      dealer.send(message("after"));
      assert.equal(text((await reader.next()).message[1]), "after");
    },
  },
  {
    name: "two dealers have two identities, and each gets its own answer",
    async run(bench) {
      const { dealer, router, endpoint } = await dealerAndRouter(bench);
      const other = bench.open(bench.client.dealer());
      other.connect(endpoint);
      dealer.send(message("from the first"));
      other.send(message("from the second"));
      const questions = await readerOf(router).take(2);
      assert.notDeepEqual(questions[0]![0], questions[1]![0]);
      for (const [identity, question] of questions) router.send([identity!, bytes("to the one"), question!]);
      assert.deepEqual(texts(await readerOf(dealer).take(1)), [["to the one", "from the first"]]);
      assert.deepEqual(texts(await readerOf(other).take(1)), [["to the one", "from the second"]]);
    },
  },
  {
    name: "a router drops what is for an unknown peer, or throws when that is mandatory",
    async run(bench) {
      const lax = bench.open(bench.server.router());
      const strict = bench.open(bench.server.router({ mandatory: true }));
      await strict.bind(bench.endpoint());
      assert.equal(lax.send(message("nobody", "x")), false);
      assert.throws(() => strict.send(message("nobody", "x")), hasCode("host-unreachable"));
    },
  },
  {
    name: "a peer that left is unknown to the router",
    needs: ["server.connectionStates"],
    async run(bench) {
      const log = stateLog();
      const router = bench.open(bench.server.router({ onConnection: log.listener }));
      const dealer = bench.open(bench.client.dealer());
      dealer.connect(await router.bind(bench.endpoint()));
      dealer.send(message("hello"));
      const [hello] = await readerOf(router).take(1);
      await dealer.close();
      await log.next("closed");
      assert.equal(router.send([hello![0]!, bytes("too late")]), false);
    },
  },
  {
    name: "ten thousand answers to one question come in order",
    async run(bench) {
      const { dealer, router } = await dealerAndRouter(bench);
      dealer.send(request(0));
      const identity = (await readerOf(router).take(1))[0]![0]!;
      const count = 10_000;
      const payload = new Uint8Array(300);
      for (let i = 0; i < count; i += 1) {
        assert.equal(router.send([identity, bytes(""), sequenceOf(i), payload]), true, `answer ${i}`);
      }
      router.send([identity, bytes(""), Buffer.alloc(8, 255), bytes("")]);
      const reader = readerOf(dealer);
      for (let i = 0; i < count; i += 1) {
        const { message: frames } = await reader.next();
        assert.equal(Buffer.from(frames[1]!).readBigUInt64BE(), BigInt(i));
      }
      assertMessage((await reader.next()).message, ["", Buffer.alloc(8, 255), ""]);
    },
  },
  {
    name: "a dealer with several peers sends to them in turn",
    needs: ["client.connectionStates"],
    async run(bench) {
      const log = stateLog();
      const routers = [bench.open(bench.server.router()), bench.open(bench.server.router())];
      const dealer = bench.open(bench.client.dealer({ onConnection: log.listener }));
      for (const router of routers) {
        dealer.connect(await router.bind(bench.endpoint()));
        await log.next("ready");
      }
      for (let i = 0; i < 6; i += 1) dealer.send(message(`${i}`));
      const received = [];
      for (const router of routers) received.push(texts(await readerOf(router).take(3)).map(([, name]) => name));
      assert.deepEqual(received.sort(), [
        ["0", "2", "4"],
        ["1", "3", "5"],
      ]);
    },
  },
];
