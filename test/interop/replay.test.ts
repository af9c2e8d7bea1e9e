import assert from "node:assert/strict";
import { Daemon } from "./support/daemon.ts";
import { Engine } from "./support/engine.ts";
import { pythonTest } from "./support/python.ts";
import { assertSame, caughtUp, comparison } from "./support/scenario.ts";

/** What an engine keeps for replay. */
const BUFFER_BATCHES = 10_000;
const LARGE_BYTES = 16_384;
const REPLAYS = "aibrix_kvcache_zmq_replay_requests_total";

for (const replayFraming of ["topic", "plain"] as const) {
  pythonTest(
    `ten thousand batches of 16 KiB are replayed by a router that drops them, ${replayFraming} framing`,
    async (python, t) => {
      await using engine = await Engine.start(python, { capacity: 20_000, replayFraming });
      const published = await engine.serve(BUFFER_BATCHES, { leastBytes: LARGE_BYTES });
      await using daemon = await Daemon.start();
      await daemon.register("engine", engine.endpoints);
      await caughtUp(daemon, "engine", published);
      const { prompts, blocks } = await assertSame(daemon, { engine });
      t.diagnostic(`${prompts} prompts, ${blocks} blocks, ${await daemon.metric(REPLAYS)} replays`);
      await caughtUp(daemon, "engine", await engine.serve(100));
      await assertSame(daemon, { engine });
    },
  );

  pythonTest(`batches that were lost are asked for, the last ones too, ${replayFraming} framing`, async (python) => {
    await using engine = await Engine.start(python, { capacity: 500, replayFraming, topic: "kv-events" });
    await using daemon = await Daemon.start();
    await daemon.register("engine", engine.endpoints);
    await caughtUp(daemon, "engine", await engine.serve(50));
    await engine.serve(200, { isLost: true });
    await caughtUp(daemon, "engine", await engine.serve(10));
    await assertSame(daemon, { engine });
    await caughtUp(daemon, "engine", await engine.serve(50, { isLost: true }));
    await assertSame(daemon, { engine });
  });
}

pythonTest("where the buffer is shorter than the past, nothing false is said of what came before", async (python) => {
  await using engine = await Engine.start(python, { capacity: 2_000 });
  const published = await engine.serve(BUFFER_BATCHES + 500);
  await using daemon = await Daemon.start();
  await daemon.register("engine", engine.endpoints);
  await caughtUp(daemon, "engine", published, ["partial"]);
  const { blocks, excess } = await comparison(daemon, { engine });
  assert.ok(blocks > 0);
  assert.deepEqual(excess, []);
  await engine.reset();
  await caughtUp(daemon, "engine", await engine.serve(100), ["live", "partial"]);
  await assertSame(daemon, { engine });
});
