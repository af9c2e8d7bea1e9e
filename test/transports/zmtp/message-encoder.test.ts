import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Message } from "../../../src/transport.ts";
import { MessageEncoder } from "../../../transports/zmtp/message-encoder.ts";
import { MessageParser } from "../../../transports/zmtp/message-parser.ts";
import { message } from "./support.ts";

test("a message is encoded as the RFC writes it, short and LONG frames alike", () => {
  const encoder = new MessageEncoder();
  for (const frames of [
    [Buffer.alloc(0)],
    [Buffer.alloc(255, 1), Buffer.alloc(256, 2)],
    [Buffer.alloc(70_000, 3), Buffer.alloc(0), Buffer.alloc(1, 4)],
  ]) {
    assert.deepEqual(Buffer.from(encoder.encode(frames)), message(...frames));
  }
});

test("what is encoded is parsed again", () => {
  const encoder = new MessageEncoder();
  const anyMessage = fc.array(fc.uint8Array({ maxLength: 5_000 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(anyMessage, (frames: Message) => {
      const parser = new MessageParser({ maxMessageBytes: 100_000, maxFrames: 10 }, null, () => assert.fail());
      parser.push(encoder.encode(frames));
      assert.deepEqual(
        parser.take().map((each) => each.map((body) => Uint8Array.from(body))),
        [frames],
      );
    }),
  );
});
