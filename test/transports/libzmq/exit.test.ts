import assert from "node:assert/strict";
import { test } from "node:test";
import { runModule } from "../../support/run-module.ts";

const TIMEOUT = { timeout: 30_000 };

const SETUP = `
  import { libzmq } from "./transports/libzmq/index.ts";
  const transport = await libzmq({ lingerMs: 100 });
  const publisher = transport.publisher({ onSubscription: () => {} });
  const endpoint = await publisher.bind("tcp://127.0.0.1:0");
  const subscriber = transport.subscriber();
  subscriber.subscribe("");
  subscriber.connect(endpoint);
  const batches = subscriber.receive()[Symbol.asyncIterator]();
  const publishing = setInterval(() => publisher.send([Buffer.from("hello")]), 1);
  await batches.next();
  clearInterval(publishing);
`;

test("a process ends by itself when its sockets are closed", TIMEOUT, async () => {
  const ended = await runModule(`${SETUP}
    await Promise.all([publisher.close(), subscriber.close()]);
    console.log("closed");
  `);
  assert.deepEqual(ended, { code: 0, stdout: "closed\n", stderr: "" });
});

test("a process that exits with open sockets is not held up", TIMEOUT, async () => {
  const ended = await runModule(`${SETUP}
    console.log("exits");
    process.exit(3);
  `);
  assert.deepEqual(ended, { code: 3, stdout: "exits\n", stderr: "" });
});

test("what a dead peer was sent holds nothing up either", TIMEOUT, async () => {
  const ended = await runModule(`${SETUP}
    const dealer = transport.dealer();
    dealer.connect("tcp://127.0.0.1:1");
    dealer.send([Buffer.from("for nobody")]);
    const slow = transport.subscriber({ receiveHighWaterMark: 1 });
    slow.subscribe("");
    slow.connect(endpoint);
    for (let i = 0; i < 1000; i += 1) publisher.send([Buffer.alloc(100_000)]);
    await Promise.all([dealer, publisher, subscriber, slow].map((socket) => socket.close()));
    console.log("closed");
  `);
  assert.deepEqual(ended, { code: 0, stdout: "closed\n", stderr: "" });
});

test("two transports in one process have nothing to do with each other", TIMEOUT, async () => {
  const ended = await runModule(`${SETUP}
    const other = await libzmq();
    const another = other.subscriber();
    another.subscribe("");
    another.connect(endpoint);
    const republishing = setInterval(() => publisher.send([Buffer.from("both")]), 1);
    for await (const { messages } of another.receive()) { console.log(String(messages[0][0])); break; }
    clearInterval(republishing);
    await Promise.all([publisher.close(), subscriber.close()]);
    const late = other.publisher();
    await late.bind("tcp://127.0.0.1:0");
    console.log("goes on");
    await Promise.all([late.close(), another.close()]);
  `);
  assert.deepEqual(ended, { code: 0, stdout: "both\ngoes on\n", stderr: "" });
});
