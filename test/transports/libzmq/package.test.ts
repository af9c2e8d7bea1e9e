import assert from "node:assert/strict";
import { test } from "node:test";
import { libzmq } from "../../../transports/libzmq/index.ts";
import { loadZeromq } from "../../../transports/libzmq/load.ts";
import { hasCode } from "../../conformance/bench.ts";
import { runModule } from "./support.ts";

const TIMEOUT = { timeout: 30_000 };

/** A hook that makes the package unknown to whoever imports it. */
const WITHOUT_ZEROMQ = `data:text/javascript,${encodeURIComponent(`
  import { register } from "node:module";
  register("data:text/javascript," + encodeURIComponent(\`
    export async function resolve(specifier, context, next) {
      if (specifier !== "zeromq") return next(specifier, context);
      throw Object.assign(new Error("Cannot find package 'zeromq'"), { code: "ERR_MODULE_NOT_FOUND" });
    }
  \`));
`)}`;

test("without the package the transport names what to install, and importing it needs nothing", TIMEOUT, async () => {
  const { stdout, stderr } = await runModule(
    `import { libzmq } from "./transports/libzmq/index.ts";
     await libzmq().catch((error) => console.log(error.code, "|", error.message));`,
    ["--import", WITHOUT_ZEROMQ],
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
