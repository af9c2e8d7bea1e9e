import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { EngineLoads, readLoad } from "../../src/routing/engine-loads.ts";
import { until } from "../interop/support/until.ts";
import { podInfo } from "../server/support.ts";

describe("readLoad", () => {
  it("reads vLLM's figures, of all engines of the process together", () => {
    const text = `# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 4.0
vllm:num_requests_waiting_by_reason{reason="x"} 9.0`;
    assert.deepEqual(readLoad(text), { running: 5, waiting: 4 });
  });

  it("reads SGLang's", () => {
    assert.deepEqual(readLoad("sglang:num_running_reqs 7\nsglang:num_queue_reqs 1e1\n"), { running: 7, waiting: 10 });
  });

  it("reads nothing out of other texts", () => {
    assert.equal(readLoad("vllm:num_requests_waiting 4\nvllm:num_requests_running NaN\n<html>"), null);
  });
});

describe("EngineLoads", () => {
  it("knows the load of engines that answer, and forgets it some time after they do not", async () => {
    let isUp = true;
    const server = createServer((_request, response) => {
      response.statusCode = isUp ? 200 : 500;
      response.end("vllm:num_requests_running 3\nvllm:num_requests_waiting 1\n");
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as AddressInfo;
    const pods = [
      podInfo("a", { httpUrl: `http://127.0.0.1:${port}` }),
      podInfo("b", { httpUrl: "http://127.0.0.1:1" }),
    ];
    const loads = new EngineLoads({ pods: () => pods }, { engineHttpPort: 8000, loadIntervalMs: 5 }, systemClock);
    try {
      loads.start();
      await until(
        "the load of a",
        () => loads.of("a"),
        (load) => load !== undefined,
      );
      assert.deepEqual(loads.of("a"), { running: 3, waiting: 1 });
      assert.equal(loads.of("b"), undefined);
      isUp = false;
      await until(
        "no load of a",
        () => loads.of("a"),
        (load) => load === undefined,
      );
    } finally {
      await loads[Symbol.asyncDispose]();
      await loads[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
    }
  });
});
