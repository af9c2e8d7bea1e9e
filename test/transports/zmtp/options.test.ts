import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigurationError } from "../../../src/errors.ts";
import { type ZmtpOptions, zmtp } from "../../../transports/zmtp/index.ts";
import { resolveOptions, withSocketOptions } from "../../../transports/zmtp/options.ts";

const isInvalid =
  (words: RegExp) =>
  (error: unknown): boolean =>
    error instanceof ConfigurationError && error.code === "invalid-option" && words.test(error.message);

test("an option that is not a usable number is refused when the transport is made, with its name and value", () => {
  for (const [options, words] of [
    [{ maxMessageBytes: 0 }, /maxMessageBytes is 0; it has to be a whole number from 1/],
    [{ maxFrames: 1.5 }, /maxFrames is 1\.5/],
    [{ handshakeTimeoutMs: Number.NaN }, /handshakeTimeoutMs is NaN/],
    [{ reconnectMaxMs: 2 ** 31 }, /reconnectMaxMs is 2147483648; it has to be a whole number from 1 to 2147483647/],
    [{ lingerMs: -1 }, /lingerMs is -1; it has to be a whole number from 0/],
    [{ reconnectMinMs: 1_000, reconnectMaxMs: 999 }, /reconnectMaxMs 999 is below reconnectMinMs 1000/],
  ] as const satisfies readonly (readonly [ZmtpOptions, RegExp])[]) {
    assert.throws(() => zmtp(options), isInvalid(words));
  }
});

test("options that switch something off may be 0", () => {
  assert.doesNotThrow(() => zmtp({ lingerMs: 0, heartbeatIntervalMs: 0, stableAfterMs: 0 }));
});

test("a socket's high-water marks go before the transport's", () => {
  const options = withSocketOptions(resolveOptions({ receiveHighWaterMark: 5, sendHighWaterMark: 6 }), {
    receiveHighWaterMark: 7,
  });
  assert.equal(options.receiveHighWaterMark, 7);
  assert.equal(options.sendHighWaterMark, 6);
});

test("a socket's high-water mark that cannot be used is refused when the socket is made", () => {
  assert.throws(() => zmtp().subscriber({ receiveHighWaterMarkBytes: 0 }), isInvalid(/receiveHighWaterMarkBytes is 0/));
});
