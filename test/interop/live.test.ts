import assert from "node:assert/strict";
import { Daemon } from "./support/daemon.ts";
import { Engine, type EngineOptions } from "./support/engine.ts";
import { pythonTest } from "./support/python.ts";
import { assertSame, caughtUp, comparison, joined } from "./support/scenario.ts";

const FORMS: readonly Pick<EngineOptions, "encoding" | "hashForm">[] = [
  { encoding: "array", hashForm: "int" },
  { encoding: "array", hashForm: "bytes8" },
  { encoding: "array", hashForm: "bytes32" },
  { encoding: "map", hashForm: "int" },
  { encoding: "map", hashForm: "bytes8" },
  { encoding: "map", hashForm: "bytes32" },
  { encoding: "map-batch", hashForm: "int" },
  { encoding: "sglang", hashForm: "signed" },
];

/** Without a replay endpoint nobody can prove that a stream had no past. */
const SETTLED = ["live", "partial"];

for (const form of FORMS) {
  pythonTest(
    `live events, ${form.encoding} with ${form.hashForm} hashes, leave what the engine holds`,
    async (python) => {
      await using engine = await Engine.start(python, { ...form, capacity: 300 });
      await using daemon = await Daemon.start();
      await daemon.register(
        "engine",
        engine.endpoints.map(({ endpoint }) => ({ endpoint })),
      );
      await joined(daemon, "engine", engine);
      await caughtUp(daemon, "engine", await engine.serve(300), SETTLED);
      await assertSame(daemon, { engine });
    },
  );
}

pythonTest(
  "an engine that drops its cache while it is idle is empty at once, and is followed further",
  async (python) => {
    await using engine = await Engine.start(python, { capacity: 300, topic: "kv@10.0.0.1:5557@model" });
    await using daemon = await Daemon.start();
    await daemon.register("engine", engine.endpoints);
    await caughtUp(daemon, "engine", await engine.serve(100));
    await assertSame(daemon, { engine });
    await caughtUp(daemon, "engine", await engine.reset());
    const { blocks, prompts, divergence } = await comparison(daemon, { engine });
    assert.deepEqual({ blocks, divergence }, { blocks: 0, divergence: [] });
    assert.ok(prompts > 0);
    await caughtUp(daemon, "engine", await engine.serve(100));
    await assertSame(daemon, { engine });
  },
);

pythonTest("what one engine evicts another still holds, though both served the same prompts", async (python) => {
  await using roomy = await Engine.start(python, { capacity: 1_500, hashSeed: 1 });
  await using tight = await Engine.start(python, { capacity: 200, hashSeed: 2, encoding: "array" });
  await using daemon = await Daemon.start();
  for (const [pod, engine] of Object.entries({ roomy, tight })) {
    await daemon.register(pod, engine.endpoints);
    await caughtUp(daemon, pod, await engine.serve(200));
  }
  await assertSame(daemon, { roomy, tight });
});
