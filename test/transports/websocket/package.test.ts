import assert from "node:assert/strict";
import { test } from "node:test";
import { websocket } from "../../../transports/websocket/index.ts";
import { loadJszmq } from "../../../transports/websocket/jszmq.ts";
import { hasCode } from "../../conformance/bench.ts";
import { runModule, withoutPackage } from "../../support/run-module.ts";

const TIMEOUT = { timeout: 30_000 };

test("without the package the transport names what to install, and importing it needs nothing", TIMEOUT, async () => {
  const { stdout, stderr } = await runModule(
    `import { websocket } from "./transports/websocket/index.ts";
     await websocket().catch((error) => console.log(error.code, "|", error.message));`,
    withoutPackage("jszmq"),
  );
  assert.match(
    stdout,
    /^missing-package \| websocket: .*"jszmq" is not installed.*; run npm install jszmq@0\.1\.2/,
    stderr,
  );
});

test("another version of the package, with other insides, is as good as none", async () => {
  await assert.rejects(
    loadJszmq(() => Promise.resolve([{ default: {} }, { default: {} }])),
    hasCode("missing-package"),
  );
});

test("options that cannot be used are refused before the package is asked for", async () => {
  for (const options of [{ lingerMs: -1 }, { maxFrames: 0 }, { keepAliveMs: 2 ** 31 }, { maxMessageBytes: 0.5 }]) {
    const [name] = Object.keys(options);
    await assert.rejects(websocket(options), (error: Error) => {
      assert.match(error.message, new RegExp(`^websocket: ${name} is .*; it has to be a whole number from`));
      return true;
    });
  }
  await assert.rejects(websocket({ reconnectMinMs: 10, reconnectMaxMs: 5 }), /reconnectMaxMs 5 is below/);
});

test("what it cannot do is named by its capabilities", async () => {
  const { name, capabilities } = await websocket();
  assert.equal(name, "websocket");
  assert.deepEqual(capabilities.schemes, ["ws"]);
  assert.deepEqual(
    Object.entries(capabilities)
      .filter(([, value]) => value === false)
      .map(([key]) => key),
    ["socketTypes"],
  );
});
