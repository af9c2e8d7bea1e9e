import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytes, text } from "../../support/messages.ts";
import { seededRandom } from "../../support/random.ts";
import { settled } from "../../support/virtual-clock.ts";
import { inboxOf, virtualMemory } from "./support.ts";

/** An engine that publishes and answers, two subscribers, all faults at once: everything that anybody saw. */
async function simulate(seed: number): Promise<string[]> {
  const { clock, transport } = virtualMemory({ seed, lingerMs: 0 });
  const random = seededRandom(seed + 1);
  const log: string[] = [];
  const note = (what: string): void => void log.push(`${clock.now()} ${what}`);
  transport.faults.set({
    latencyMs: [0, 20],
    drop: 0.05,
    duplicate: 0.05,
    reorder: { probability: 0.1, window: 3 },
  });
  const publisher = transport.publisher({ onSubscription: (topic, on) => note(`${on} ${text(topic)}`) });
  const router = transport.router({ onConnection: (endpoint, { status }) => note(`router ${endpoint} ${status}`) });
  await publisher.bind("tcp://10.0.0.1:5557");
  await router.bind("tcp://10.0.0.1:5558");
  const sockets = ["a", "b"].flatMap((name) => {
    const listener = (endpoint: string, { status }: { status: string }): void => note(`${name} ${endpoint} ${status}`);
    const subscriber = transport.subscriber({ onConnection: listener });
    subscriber.subscribe("");
    subscriber.connect("tcp://10.0.0.1:5557");
    const dealer = transport.dealer({ onConnection: listener });
    dealer.connect("tcp://10.0.0.1:5558");
    for (const socket of [subscriber, dealer]) {
      void (async () => {
        for await (const { connectionId, messages } of socket.receive()) {
          note(`${name} ${connectionId} ${messages.map((frames) => frames.map(text).join())}`);
          if (socket === subscriber) dealer.send(messages[0]!);
        }
      })();
    }
    return [subscriber, dealer];
  });
  void (async () => {
    for await (const { messages } of router.receive()) for (const message of messages) router.send(message);
  })();
  for (let i = 0; i < 100; i += 1) {
    publisher.send([bytes("kv"), bytes(`${i}`)]);
    if (random() < 0.05) transport.faults.cut({ endpoint: "tcp://10.0.0.1:5557" }, { forMs: random() * 30 });
    await clock.advance(random() * 10);
  }
  await Promise.all([publisher, router, ...sockets].map((socket) => socket.close()));
  assert.equal(clock.pending, 0);
  return log;
}

test("the same seed gives the same run, whatever the faults", async () => {
  for (const seed of [1, 2, 3]) assert.deepEqual(await simulate(seed), await simulate(seed));
});

test("another seed gives another run", async () => {
  assert.notDeepEqual(await simulate(1), await simulate(2));
});

test("without loss everything arrives once and in order, whatever the latency and however slow the reader", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        seed: fc.nat(),
        minMs: fc.nat(20),
        spreadMs: fc.nat(20),
        receiveHighWaterMark: fc.integer({ min: 1, max: 8 }),
        pauses: fc.array(fc.nat(15), { minLength: 1, maxLength: 30 }),
      }),
      async ({ seed, minMs, spreadMs, receiveHighWaterMark, pauses }) => {
        const { clock, transport } = virtualMemory({ seed });
        transport.faults.set({ latencyMs: [minMs, minMs + spreadMs] });
        const router = transport.router({ receiveHighWaterMark });
        const dealer = transport.dealer();
        dealer.connect(await router.bind("inproc://*"));
        const sent: string[] = [];
        for (const pause of pauses) {
          for (let i = 0; i < pause; i += 1) {
            sent.push(`${sent.length}`);
            dealer.send([bytes(sent.at(-1)!)]);
          }
          await clock.advance(pause);
        }
        const received = inboxOf(router);
        await clock.advance(1_000);
        await settled();
        assert.deepEqual(received, sent);
      },
    ),
    { numRuns: 100 },
  );
});
