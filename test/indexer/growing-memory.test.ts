import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GrowingMemory } from "../../src/indexer/growing-memory.ts";
import { withoutWebAssembly } from "./support.ts";

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

describe("GrowingMemory", () => {
  it("doubles while it is small, and then grows by a page", () => {
    const sizes = grown(new GrowingMemory(64 * MIB), 4 * MIB);
    assert.deepEqual(sizes.slice(0, 3), [1_024, 2_048, 4_096]);
    assert.deepEqual(sizes.slice(-2), [4 * MIB - 65_536, 4 * MIB]);
  });

  it("sets more aside than it says, once it is large, and never more than it may", () => {
    const memory = new GrowingMemory(64 * MIB);
    const arrays = new Set<Int32Array>();
    while (memory.bytes < 64 * MIB) {
      memory.grow();
      arrays.add(memory.words);
    }
    assert.ok(arrays.size < 60, `${arrays.size}`);
    assert.ok(memory.words.byteLength <= 64 * MIB + 65_536);
  });

  it("goes where it is told once it has a page, with what is in it, and no further than that", () => {
    const buffer = new ArrayBuffer(4 * 65_536);
    let asked = 0;
    const memory = new GrowingMemory(64 * MIB, () => {
      asked++;
      return { buffer, start: 65_536, bytes: 2 * 65_536 };
    });
    grown(memory, 32_768);
    assert.equal(memory.isHome, false);
    memory.words.fill(7);
    grown(memory, 2 * 65_536);
    assert.equal(memory.isHome, true);
    assert.equal(asked, 1);
    assert.deepEqual([memory.words.buffer, memory.words.byteOffset], [buffer, 65_536]);
    assert.deepEqual([memory.words.indexOf(0), memory.words.byteLength], [8_192, 2 * 65_536]);
    assert.throws(() => memory.grow(), RangeError);
    assert.equal(memory.bytes, 2 * 65_536);
    const tooSmall = new GrowingMemory(MIB);
    assert.throws(() => grown(tooSmall, 2 * MIB), RangeError);
  });

  it("doubles for ever where no addresses can be set aside", () => {
    withoutWebAssembly(() => {
      const memory = new GrowingMemory(64 * MIB);
      grown(memory, 5 * MIB);
      assert.equal(memory.words.byteLength, 8 * MIB);
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
          const { words } = memory;
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
