import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GrowingMemory } from "../../src/indexer/growing-memory.ts";

const MIB = 2 ** 20;

function grown(memory: GrowingMemory, bytes: number): number[] {
  const sizes: number[] = [];
  while (memory.bytes < bytes) {
    const next = memory.bytes + memory.growth;
    memory.grow();
    assert.equal(memory.bytes, next);
    sizes.push(next);
  }
  return sizes;
}

/** Runs the step where no address space can be set aside. */
function withoutWebAssembly(step: () => void): void {
  const { WebAssembly } = globalThis as { WebAssembly?: unknown };
  Reflect.deleteProperty(globalThis, "WebAssembly");
  try {
    step();
  } finally {
    Object.assign(globalThis, { WebAssembly });
  }
}

describe("GrowingMemory", () => {
  it("doubles while it is small, and then grows by a page", () => {
    const sizes = grown(new GrowingMemory(64 * MIB), 4 * MIB);
    assert.deepEqual(sizes.slice(0, 3), [1_024, 2_048, 4_096]);
    assert.deepEqual(sizes.slice(-2), [4 * MIB - 65_536, 4 * MIB]);
  });

  it("sets more aside than it says, once it is large, and never more than it may", () => {
    const memory = new GrowingMemory(64 * MIB);
    const buffers = new Set<ArrayBufferLike>();
    while (memory.bytes < 64 * MIB) {
      memory.grow();
      buffers.add(memory.buffer);
    }
    assert.ok(buffers.size < 60, `${buffers.size}`);
    assert.ok(memory.buffer.byteLength <= 64 * MIB + 65_536);
  });

  it("doubles for ever where no addresses can be set aside", () => {
    withoutWebAssembly(() => {
      const memory = new GrowingMemory(64 * MIB);
      grown(memory, 5 * MIB);
      assert.equal(memory.buffer.byteLength, 8 * MIB);
    });
  });

  for (const [name, run] of [
    ["set aside", (step: () => void) => step()],
    ["copied", withoutWebAssembly],
  ] as const) {
    it(`keeps what is in it, and adds zeros: ${name}`, () => {
      run(() => {
        const memory = new GrowingMemory(64 * MIB);
        let written = 0;
        while (memory.bytes < 4 * MIB) {
          memory.grow();
          const words = new Int32Array(memory.buffer);
          if (words.length === written) continue;
          for (let i = 0; i < words.length; i++) {
            if (words[i] !== (i < written ? i + 1 : 0)) assert.fail(`word ${i} is ${words[i]}`);
          }
          for (; written < words.length; written++) words[written] = written + 1;
        }
      });
    });
  }
});
