import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { AttentionGroup } from "../../src/indexer/attention-groups.ts";
import type { ExportedBlock } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { type DumpItem, DumpReader } from "../../src/snapshot/reader.ts";
import { DumpWriter, encodeStream } from "../../src/snapshot/writer.ts";
import { type AnyStream, anyStreams } from "./arbitraries.ts";

const index = new SyncPrefixHashTable({ seed: 7n });

function written(streams: readonly AnyStream[]): Buffer {
  const writer = new DumpWriter();
  const lines = [writer.header(index)];
  for (const stream of streams) lines.push(...writer.stream(encoded(stream)!));
  lines.push(writer.end());
  return Buffer.from(lines.join(""));
}

function encoded({ state, blocks }: AnyStream) {
  const exporter = {
    exportSource: ({ rank }: { readonly rank: number }) => (blocks.get(rank) ?? []).values(),
    exportGroups: ({ rank }: { readonly rank: number }) => groupsOf(rank),
  };
  const steps = encodeStream(exporter, state);
  let step = steps.next();
  while (!step.done) step = steps.next();
  return step.value;
}

/** Of every second rank. */
function groupsOf(rank: number): AttentionGroup[] {
  return rank % 2 === 0 ? [] : [{ index: rank, kind: "sliding_window", slidingWindow: 128, blockSize: 16 }];
}

/** In pieces of these sizes, over and over. */
function read(bytes: Uint8Array, sizes: readonly number[] = [bytes.length + 1]): DumpItem[] {
  const reader = new DumpReader();
  const items: DumpItem[] = [];
  for (let start = 0, i = 0; start < bytes.length; i++) {
    const end = start + sizes[i % sizes.length]!;
    items.push(...reader.push(bytes.slice(start, end)));
    start = end;
  }
  reader.finish();
  return items;
}

function streamsIn(items: readonly DumpItem[]): AnyStream[] {
  const streams: { state: AnyStream["state"]; blocks: Map<number, ExportedBlock[]> }[] = [];
  for (const item of items) {
    if (item.type === "stream") {
      const blocks = new Map(item.state.sources.map(({ rank }): [number, ExportedBlock[]] => [rank, []]));
      streams.push({ state: item.state, blocks });
    } else if (item.type === "blocks")
      streams
        .at(-1)!
        .blocks.get(item.source.rank)!
        .push(...item.blocks);
  }
  return streams;
}

const refused = { code: /^(corrupt|truncated|foreign)-dump$/ };

test("what is written is read, in whatever pieces it comes", () => {
  fc.assert(
    fc.property(anyStreams, fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1 }), (streams, sizes) => {
      const items = read(written(streams), sizes);
      assert.deepEqual(streamsIn(items), streams);
      for (const item of items) if (item.type === "blocks") assert.deepEqual(item.groups, groupsOf(item.source.rank));
      assert.equal(items[0]?.type === "header" && items[0].seed, 7n);
      const blocks = streams.flatMap((stream) => [...stream.blocks.values()].flat()).length;
      assert.deepEqual(items.at(-1), { type: "end", streams: streams.length, blocks });
    }),
  );
});

test("a dump that is cut anywhere is refused", () => {
  fc.assert(
    fc.property(anyStreams, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (streams, share) => {
      const bytes = written(streams);
      assert.throws(() => read(bytes.subarray(0, Math.floor(bytes.length * share))), { code: "truncated-dump" });
    }),
  );
});

test("a dump of which any byte is changed is refused", () => {
  const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(anyStreams, share, fc.integer({ min: 1, max: 255 }), (streams, at, change) => {
      const bytes = written(streams);
      bytes[Math.floor(bytes.length * at)]! ^= change;
      assert.throws(() => read(bytes), refused);
    }),
    { numRuns: 500 },
  );
});

test("every single byte of a small dump counts", () => {
  const bytes = written([]);
  for (let at = 0; at < bytes.length; at++) {
    for (const change of [1, 32, 128]) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= change;
      assert.throws(() => read(changed), refused, `byte ${at}`);
    }
  }
});

test("lines that are left out, swapped, repeated or added are noticed", () => {
  fc.assert(
    fc.property(anyStreams, fc.nat(), fc.nat(), (streams, one, other) => {
      const lines = written(streams).toString().split("\n").slice(0, -1);
      const [a, b] = [one % lines.length, other % lines.length];
      const without = lines.filter((_, at) => at !== a);
      const swapped = lines.map((line, at) => (at === a ? lines[b] : at === b ? lines[a] : line));
      const doubled = [...lines.slice(0, a + 1), ...lines.slice(a)];
      for (const changed of [without, doubled, ...(lines[a] === lines[b] ? [] : [swapped])]) {
        assert.throws(() => read(Buffer.from(`${changed.join("\n")}\n`)), refused);
      }
      assert.throws(() => read(Buffer.concat([written(streams), Buffer.from("\n")])), { code: "corrupt-dump" });
    }),
  );
});

test("another program's file, and another version's dump, are refused with what they are", () => {
  assert.throws(() => read(Buffer.from('{"a":1}\n')), {
    code: "foreign-dump",
    message: 'dump: begins with "{\\"a\\":1}"; give what kv-event-sync dumped',
  });
  const later = written([]).toString().replace('"version":2', '"version":3,"more":[]');
  assert.throws(() => read(Buffer.from(later)), {
    code: "foreign-dump",
    message: /is of version 3, this release reads 2/,
  });
  assert.throws(() => read(Buffer.alloc(2_000_000, 1)), { code: "foreign-dump", message: /longer than 1048576 bytes/ });
});

test("a block that is held without a size is refused, whatever the checksum says", () => {
  const [stream] = fc.sample(
    anyStreams.filter((streams) => streams.length > 0),
    { numRuns: 1, seed: 3 },
  )[0]!;
  const block: ExportedBlock = {
    blockHash: 1n,
    lora: -1,
    blockSize: 0,
    chainedHash: 2n,
    proof: 1,
    places: [{ tier: "gpu", group: null }],
  };
  const broken = { ...stream!, blocks: new Map([[stream!.state.sources[0]!.rank, [block]]]) };
  assert.throws(() => read(written([broken])), {
    code: "corrupt-dump",
    message: /a block without tokens cannot be held/,
  });
});

test("a long stream is packed into lines of bounded length", () => {
  const [stream] = fc.sample(
    anyStreams.filter((streams) => streams.length > 0),
    { numRuns: 1, seed: 3 },
  )[0]!;
  const block = (i: number, tier: string): ExportedBlock => ({
    blockHash: BigInt(i),
    lora: -1,
    blockSize: 16,
    chainedHash: 2n,
    proof: 1,
    places: [{ tier, group: null }],
  });
  const many = Array.from({ length: 3_000 }, (_, i) => block(i, i % 3 === 0 ? "gpu" : "x".repeat(i)));
  const long = { ...stream!, blocks: new Map([[0, many]]) };
  const items = read(written([long]));
  assert.deepEqual(streamsIn(items)[0]?.blocks.get(0), many);
  const longest = Math.max(
    ...written([long])
      .toString()
      .split("\n")
      .map((line) => line.length),
  );
  assert.ok(longest < 200_000, `${longest}`);
});

test("a stream whose places do not fit into a line is left out", () => {
  const [stream] = fc.sample(
    anyStreams.filter((streams) => streams.length > 0),
    { numRuns: 1, seed: 3 },
  )[0]!;
  const [block] = [...stream!.blocks.values()].flat();
  const huge = { ...(block ?? ({} as ExportedBlock)), places: [{ tier: "x".repeat(100_000), group: null }] };
  assert.equal(encoded({ ...stream!, blocks: new Map([[0, [huge]]]) }), null);
});
