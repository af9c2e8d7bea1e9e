import assert from "node:assert/strict";
import { Daemon } from "./support/daemon.ts";
import { Engine } from "./support/engine.ts";
import { pythonTest } from "./support/python.ts";
import { assertSame, caughtUp, comparison, joined } from "./support/scenario.ts";
import { until } from "./support/until.ts";

const BEFORE = { capacity: 500, hashSeed: 1, promptSeed: 1 };

/** How the next process at the same ports differs: what it publishes before anybody listens, and what it names blocks. */
const SUCCESSORS = [
  { name: "that publishes less", prompts: 30, options: { hashSeed: 2, promptSeed: 2 } },
  { name: "that publishes more", prompts: 400, options: { hashSeed: 2, promptSeed: 2 } },
  { name: "with the same prompts and the same hashes", prompts: 60, options: { hashSeed: 1, promptSeed: 1 } },
];

for (const { name, prompts, options } of SUCCESSORS) {
  pythonTest(`a restart in place, by a process ${name}, leaves what the new one holds`, async (python) => {
    await using old = await Engine.start(python, BEFORE);
    await using daemon = await Daemon.start();
    await daemon.register("engine", old.endpoints);
    await caughtUp(daemon, "engine", await old.serve(200));
    await assertSame(daemon, { engine: old });
    const past = await old.truth();
    await old.kill();
    await using engine = await Engine.start(python, { ...BEFORE, ...options, port: old.port });
    const published = await engine.serve(prompts);
    await caughtUp(daemon, "engine", published);
    await assertSame(daemon, { engine }, [past]);
    await caughtUp(daemon, "engine", await engine.serve(300));
    await assertSame(daemon, { engine }, [past]);
  });

  pythonTest(`a restart in place, by a process ${name}, is noticed without a replay endpoint`, async (python) => {
    await using old = await Engine.start(python, BEFORE);
    await using daemon = await Daemon.start();
    await daemon.register(
      "engine",
      old.endpoints.map(({ endpoint }) => ({ endpoint })),
    );
    await joined(daemon, "engine", old);
    await caughtUp(daemon, "engine", await old.serve(200), ["live", "partial"]);
    await assertSame(daemon, { engine: old });
    const past = await old.truth();
    await old.kill();
    await using engine = await Engine.start(python, { ...BEFORE, ...options, port: old.port });
    let [next] = await engine.serve(prompts);
    await until(
      "the new process is heard",
      async () => {
        [next] = await engine.serve(1);
        return daemon.streams("engine");
      },
      ([stream]) => stream?.status !== "connecting" && stream?.lastSequence === next! - 1,
    );
    const { excess, prompts: asked } = await comparison(daemon, { engine }, [past]);
    assert.ok(asked > 0);
    assert.deepEqual(excess, []);
    await engine.reset();
    await caughtUp(daemon, "engine", await engine.serve(300), ["live", "partial"]);
    await assertSame(daemon, { engine }, [past]);
  });
}
