/**
 * `npm run bench:decode [-- --rounds 9] [--quick] [--json]`: how fast messages of one event become typed arrays, beside
 * `@msgpack/msgpack` (`useBigInt64`), which makes objects of them that nobody has looked at yet. Processor time, in rounds
 * in which each takes its turn; the messages stand side by side in one buffer, as they come from a socket.
 */
import { parseArgs } from "node:util";
import { decode } from "@msgpack/msgpack";
import { formatTable } from "../../src/cli/table.ts";
import { decodePackedBatch } from "../../src/events/decode-packed.ts";
import { PackedBatch } from "../../src/events/packed-batch.ts";
import { median, rounded } from "../transport/statistics.ts";
import { makeMessages, SHAPES, type Shape } from "./messages.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "9" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const rounds = values.quick ? 3 : Number(values.rounds);
const WARM_UP_ROUNDS = 3;
/** Blocks of each shape, so that all take about as long. */
const BLOCKS = 8_192;
/** Enough for a clock of microseconds. */
const REPEATS = { ours: 8, library: 2 };

const batch = new PackedBatch();
const ours = (payload: Uint8Array): void => decodePackedBatch(payload, batch);
const library = (payload: Uint8Array): void => {
  decode(payload, { useBigInt64: true });
};

/** Microseconds of processor time for all messages once. */
function cost(step: (payload: Uint8Array) => void, messages: readonly Uint8Array[], repeats: number): number {
  const before = process.cpuUsage();
  for (let repeat = 0; repeat < repeats; repeat++) for (const payload of messages) step(payload);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / repeats;
}

interface Measured {
  readonly shape: Shape;
  /** Million blocks a second. */
  readonly ours: number;
  readonly library: number;
  /** Median of the rounds' ratios. */
  readonly ratio: number;
}

function measure(shape: Shape): Measured {
  const messages = makeMessages(shape, Math.max(16, BLOCKS / shape.blocks));
  const blocks = messages.length * shape.blocks;
  const costs: { readonly ours: number; readonly library: number }[] = [];
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    const measured = { ours: cost(ours, messages, REPEATS.ours), library: cost(library, messages, REPEATS.library) };
    if (round >= 0) costs.push(measured);
  }
  return {
    shape,
    ours: blocks / median(costs.map((each) => each.ours)),
    library: blocks / median(costs.map((each) => each.library)),
    ratio: median(costs.map((each) => each.library / each.ours)),
  };
}

const measured = SHAPES.map(measure);
if (values.json) {
  console.log(JSON.stringify(Object.fromEntries(measured.map(({ shape, ratio }) => [shape.name, rounded(ratio)]))));
} else {
  const rows = measured.map(({ shape, ...each }) => [
    shape.name,
    `${each.ours.toFixed(2)} M/s`,
    `${each.library.toFixed(2)} M/s`,
    `${each.ratio.toFixed(1)} ×`,
  ]);
  console.log(formatTable([["MESSAGES", "OURS, blocks", "LIBRARY, blocks", "OURS ÷ LIBRARY"], ...rows]));
}
