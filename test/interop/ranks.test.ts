import assert from "node:assert/strict";
import { Daemon } from "./support/daemon.ts";
import { Engine } from "./support/engine.ts";
import { pythonTest } from "./support/python.ts";
import { assertSame, caughtUp } from "./support/scenario.ts";

pythonTest("data-parallel ranks on the ports that follow are told apart", async (python) => {
  await using engine = await Engine.start(python, { ranks: 2, capacity: 300, encoding: "array" });
  await using daemon = await Daemon.start();
  await daemon.register("engine", engine.endpoints);
  await caughtUp(daemon, "engine", await engine.serve(300));
  await assertSame(daemon, { engine });
  await caughtUp(daemon, "engine", await engine.reset(1));
  await assertSame(daemon, { engine });
  await engine.serve(100, { isLost: true });
  await caughtUp(daemon, "engine", await engine.serve(20));
  await assertSame(daemon, { engine });
});

pythonTest(
  "serve finds the ranks of an endpoint, and after a restart in place those of the new process",
  async (python) => {
    await using old = await Engine.start(python, { ranks: 2, capacity: 300, hashSeed: 1, promptSeed: 1 });
    const { endpoint, replayEndpoint } = old.endpoints[0]!;
    const flags = ["--endpoint", endpoint, "--replay-endpoint", replayEndpoint, "--ranks", "2"];
    await using daemon = await Daemon.start(flags);
    const pod = endpoint.replace("tcp://", "");
    await caughtUp(daemon, pod, await old.serve(200));
    await assertSame(daemon, { [pod]: old });
    const past = await old.truth();
    await old.kill();
    const port = old.port;
    await using engine = await Engine.start(python, { ranks: 2, capacity: 300, hashSeed: 2, promptSeed: 2, port });
    await caughtUp(daemon, pod, await engine.serve(150));
    await assertSame(daemon, { [pod]: engine }, [past]);
    assert.equal(await daemon.stop(), 0);
  },
);
