import assert from "node:assert/strict";
import { test } from "node:test";
import { loadSodium } from "../src/sodium.ts";
import { nobleSecretbox } from "../transports/zmtp/curve/box.ts";

const KEY = Buffer.alloc(32, 1);
const NONCE = Buffer.alloc(24, 2);

test("libsodium, where it is installed, makes and opens the boxes of plain JavaScript", async () => {
  const sodium = await loadSodium();
  assert.ok(sodium);
  const box = sodium.seal(Buffer.from("hello"), NONCE, KEY);
  assert.deepEqual(box, nobleSecretbox.seal(Buffer.from("hello"), NONCE, KEY));
  assert.equal(Buffer.from(sodium.open(box, NONCE, KEY)).toString(), "hello");
  assert.throws(() => sodium.open(box, KEY.subarray(0, 24), KEY));
});

test("libsodium that is not installed is not missed", async () => {
  const missing = Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
  assert.equal(await loadSodium(() => Promise.reject(missing)), null);
});

test("libsodium that is installed and does not load is told", async () => {
  const broken = new Error("no WebAssembly here");
  await assert.rejects(
    loadSodium(() => Promise.reject(broken)),
    broken,
  );
});
