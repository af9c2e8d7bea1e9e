import assert from "node:assert/strict";
import { test } from "node:test";
import { runModule } from "../../support/run-module.ts";

const TIMEOUT = { timeout: 30_000 };

const SETUP = `
  import { websocket } from "./transports/websocket/index.ts";
  const transport = await websocket({ lingerMs: 100 });
  const publisher = transport.publisher();
  const endpoint = await publisher.bind("ws://127.0.0.1:0");
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

test("peers that are dead, or do not read, hold nothing up", TIMEOUT, async () => {
  const ended = await runModule(`${SETUP}
    const dealer = transport.dealer();
    dealer.connect("ws://127.0.0.1:1");
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
