import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  type EngineHistory,
  type EngineState,
  judge,
  readMetrics,
  readSleeping,
} from "../../src/reconciler/engine-state.ts";

const AWAKE: EngineState = { isSleeping: false, startedAtSeconds: 1_000, gpuBlocks: 500 };
const ASLEEP: EngineState = { ...AWAKE, isSleeping: true };

/** Why, at each look, the cache is known to be gone. */
function judged(...states: EngineState[]): (string | null)[] {
  let history: EngineHistory | null = null;
  return states.map((state) => {
    const judgement = judge(history, state);
    history = judgement.history;
    return judgement.dropped;
  });
}

describe("judge", () => {
  it("knows nothing at the first look", () => {
    assert.deepEqual(judged(AWAKE), [null]);
    assert.deepEqual(judged(ASLEEP), [null]);
  });

  it("believes in a sleep that is seen twice, once for each sleep", () => {
    assert.deepEqual(judged(AWAKE, ASLEEP, ASLEEP, ASLEEP, AWAKE, ASLEEP, ASLEEP), [
      ...[null, null, "sleeps", null],
      ...[null, null, "sleeps"],
    ]);
  });

  it("takes another start, or another size, for another cache", () => {
    assert.deepEqual(judged(AWAKE, { ...AWAKE, startedAtSeconds: 2_000 }, { ...AWAKE, startedAtSeconds: 2_000 }), [
      null,
      "restarted",
      null,
    ]);
    assert.deepEqual(judged(AWAKE, { ...AWAKE, gpuBlocks: 501 }), [null, "resized"]);
    assert.deepEqual(judged(AWAKE, { ...AWAKE, startedAtSeconds: 1_000.4 }), [null, null]);
  });

  it("remembers what an engine does not tell for a while", () => {
    const silent: EngineState = { isSleeping: null, startedAtSeconds: null, gpuBlocks: null };
    assert.deepEqual(judged(AWAKE, silent, { ...AWAKE, gpuBlocks: 501 }), [null, null, "resized"]);
  });

  it("tells of each change once, and of nothing where an engine goes on as it is", () => {
    const state = fc.record({
      isSleeping: fc.constantFrom(true, false, null),
      startedAtSeconds: fc.constantFrom(1, 100, null),
      gpuBlocks: fc.constantFrom(5, 6, null),
    });
    fc.assert(
      fc.property(fc.array(state, { minLength: 1 }), (states) => {
        const last = states.at(-1)!;
        // The second look at the same state may still tell of its sleep.
        assert.deepEqual(judged(...states, last, last, last, last).slice(-2), [null, null]);
      }),
    );
  });
});

describe("readMetrics", () => {
  it("reads the start and the blocks of all engines of the process", () => {
    const text = [
      "# TYPE process_start_time_seconds gauge",
      "process_start_time_seconds 1.76e+09",
      'vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="100",num_cpu_blocks="7"} 1.0',
      'vllm:cache_config_info{engine="1",num_gpu_blocks="50"} 1.0',
      'vllm:cache_config_info{num_gpu_blocks="None"} 1.0',
    ].join("\n");
    assert.deepEqual(readMetrics(text), { startedAtSeconds: 1_760_000_000, gpuBlocks: 150 });
  });

  it("finds nothing in what tells nothing, whatever it is", () => {
    assert.deepEqual(readMetrics(""), { startedAtSeconds: null, gpuBlocks: null });
    fc.assert(fc.property(fc.string(), (text) => void readMetrics(text)));
  });
});

it("readSleeping reads a boolean, and takes anything else for silence", () => {
  assert.equal(readSleeping('{"is_sleeping": true}'), true);
  assert.equal(readSleeping('{"is_sleeping": false}'), false);
  for (const body of ["", "null", "[]", "{}", '{"is_sleeping": 1}', "<html>"]) assert.equal(readSleeping(body), null);
});
