import assert from "node:assert/strict";
import { test } from "node:test";
import { libzmq } from "../../../transports/libzmq/index.ts";
import { loadZeromq } from "../../../transports/libzmq/load.ts";
import { hasCode } from "../../conformance/bench.ts";
import { runModule, withoutPackage } from "../../support/run-module.ts";

const TIMEOUT = { timeout: 30_000 };

test("without the package the transport names what to install, and importing it needs nothing", TIMEOUT, async () => {
  const { stdout, stderr } = await runModule(
    `import { libzmq } from "./transports/libzmq/index.ts";
     await libzmq().catch((error) => console.log(error.code, "|", error.message));`,
    withoutPackage("zeromq"),
  );
  assert.match(stdout, /^missing-package \| libzmq: .*"zeromq" is not installed; run npm install zeromq@6/, stderr);
});

test("a package without a binary for this machine says so, with the machine's name", async () => {
  const loading = loadZeromq(() => Promise.reject(new Error("No compatible zeromq.js addon found")));
  await assert.rejects(loading, (error: Error) => {
    assert.ok(hasCode("missing-package")(error));
    assert.ok(error.message.includes(`${process.platform}-${process.arch}`), error.message);
    assert.match(error.message, /No compatible zeromq\.js addon found/);
    return true;
  });
});

test("options that cannot be used are refused before the package is asked for", async () => {
  for (const options of [
    { lingerMs: -1 },
    { ioThreads: 0 },
    { sendHighWaterMark: 2 ** 31 },
    { maxMessageBytes: 0.5 },
  ]) {
    const [name] = Object.keys(options);
    await assert.rejects(libzmq(options), (error: Error) => {
      assert.match(error.message, new RegExp(`^libzmq: ${name} is .*; it has to be a whole number from`));
      return true;
    });
  }
  await assert.rejects(
    libzmq({ reconnectMinMs: 10, reconnectMaxMs: 5 }),
    /reconnectMaxMs 5 is below reconnectMinMs 10/,
  );
});

test("a socket's marks are checked as the transport's are", async () => {
  const transport = await libzmq();
  assert.throws(() => transport.dealer({ sendHighWaterMark: 0 }), /libzmq: sendHighWaterMark is 0/);
});

test("what libzmq cannot do is named by its capabilities", async () => {
  const { name, capabilities } = await libzmq();
  assert.equal(name, "libzmq");
  assert.deepEqual(
    Object.entries(capabilities)
      .filter(([, value]) => value === false)
      .map(([key]) => key),
    ["acceptedConnections", "highWaterMarkBytes"],
  );
});
