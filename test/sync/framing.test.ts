import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KVEventSyncError } from "../../src/errors.ts";
import { END_OF_REPLAY, encodeReplayRequest, parseLiveMessage, parseReplayMessage } from "../../src/sync/framing.ts";

const EMPTY = new Uint8Array();
const PAYLOAD = Buffer.from("payload");
const TOPIC = Buffer.from("kv-events");

function sequence(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

const isFraming =
  (words: RegExp) =>
  (error: unknown): boolean =>
    error instanceof KVEventSyncError && error.code === "framing" && words.test(error.message);

test("a live message is topic, sequence and payload", () => {
  assert.deepEqual(parseLiveMessage([TOPIC, sequence(258n), PAYLOAD]), { sequence: 258, payload: PAYLOAD });
});

test("a sequence is 8 bytes, big-endian, up to 2^53 − 1", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      assert.equal(parseLiveMessage([EMPTY, sequence(BigInt(value)), PAYLOAD]).sequence, value);
    }),
  );
  assert.throws(() => parseLiveMessage([EMPTY, sequence(1n << 53n), PAYLOAD]), isFraming(/above 2\^53/));
});

for (const [name, frames, words] of [
  ["no frame", [], /0 frames/],
  ["one frame", [PAYLOAD], /1 frames \(7 bytes\)/],
  ["two frames", [sequence(1n), PAYLOAD], /2 frames/],
  ["four frames", [EMPTY, EMPTY, sequence(1n), PAYLOAD], /4 frames/],
  ["a short sequence", [EMPTY, new Uint8Array(4), PAYLOAD], /has 4 bytes; expected 8/],
  ["a long sequence", [EMPTY, new Uint8Array(9), PAYLOAD], /has 9 bytes; expected 8/],
] as const) {
  test(`a live message of ${name} is refused with what is wrong`, () => {
    assert.throws(() => parseLiveMessage(frames), isFraming(words));
  });
}

test("a replay is asked for by an empty frame and the first sequence", () => {
  assert.deepEqual(
    encodeReplayRequest(258).map((frame) => Buffer.from(frame).toString("hex")),
    ["", "0000000000000102"],
  );
});

test("a replayed batch is read in the framing before vLLM 0.26 and in the one since", () => {
  const expected = { sequence: 7, payload: PAYLOAD };
  assert.deepEqual(parseReplayMessage([EMPTY, sequence(7n), PAYLOAD]), expected);
  assert.deepEqual(parseReplayMessage([EMPTY, TOPIC, sequence(7n), PAYLOAD]), expected);
  assert.deepEqual(parseReplayMessage([EMPTY, EMPTY, sequence(7n), PAYLOAD]), expected);
});

test("the end of a replay is sequence −1 with an empty payload, in both framings", () => {
  const minusOne = sequence(0xffff_ffff_ffff_ffffn);
  assert.equal(parseReplayMessage([EMPTY, minusOne, EMPTY]), END_OF_REPLAY);
  assert.equal(parseReplayMessage([EMPTY, EMPTY, minusOne, EMPTY]), END_OF_REPLAY);
  assert.throws(() => parseReplayMessage([EMPTY, minusOne, PAYLOAD]), isFraming(/above 2\^53/));
});

test("any other answer is refused", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 10 }), { maxLength: 6 }), (frames) => {
      try {
        const batch = parseReplayMessage(frames);
        assert.ok(batch === END_OF_REPLAY || frames.at(-2)?.length === 8);
      } catch (error) {
        assert.ok(isFraming(/./)(error), String(error));
      }
    }),
  );
});
