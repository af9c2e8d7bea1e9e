import assert from "node:assert/strict";
import { test } from "node:test";
import type { Recorded } from "../../src/recording/format.ts";
import { PlayingTransport } from "../../src/recording/playing-transport.ts";

const ENDPOINT = "tcp://127.0.0.1:5557";
const socket: Recorded = { kind: "socket", socket: 1, timeMs: 0, json: { type: "dealer", endpoint: ENDPOINT } };
const received: Recorded = { kind: "received", socket: 1, timeMs: 1, frames: [new Uint8Array([7])], connection: 1 };

test("a socket of the recording is the first one to its endpoint that is open, and has to be there before", async () => {
  const transport = new PlayingTransport();
  const over = transport.dealer();
  over.connect(ENDPOINT);
  await over.close();
  assert.ok(transport.isBehind(socket));
  const dealer = transport.dealer();
  dealer.connect(ENDPOINT);
  assert.ok(!transport.isBehind(socket));
  transport.play(socket);
  transport.play(received);
  assert.equal(transport.unclaimed, 0);
  assert.ok(transport.hasUnread && transport.isBehind(received));
  const { value } = await dealer.receive()[Symbol.asyncIterator]().next();
  assert.deepEqual(value?.messages, [received.frames]);
  assert.ok(!transport.hasUnread);
});
