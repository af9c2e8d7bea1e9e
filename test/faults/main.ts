/**
 * `npm run simulate:faults -- [--seeds 1000] [--from 0] [--seconds 600] [--until-diverged] [--json]`: as many worlds as
 * that, each decided by its seed. Ends with exit code 1, and the command that repeats it, where an index differs from its engines.
 */
import { parseArgs } from "node:util";
import { runScenario } from "./scenario.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "0" },
    seconds: { type: "string", default: "600" },
    "until-diverged": { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const from = Number(values.from);
const until = from + Number(values.seeds);
const deadlineMs = performance.now() + Number(values.seconds) * 1_000;

const totals = { seeds: 0, faults: 0, diverged: 0, blocks: 0, live: 0, partial: 0 };
for (let seed = from; seed < until && performance.now() < deadlineMs; seed++) {
  const { faults, divergence, blocks, live, partial } = await runScenario(seed).catch((error: unknown) => {
    throw new Error(
      `seed ${seed}: ${String(error)}; repeat it with npm run simulate:faults -- --from ${seed} --seeds 1`,
      {
        cause: error,
      },
    );
  });
  totals.seeds++;
  totals.faults += Object.values(faults).reduce((sum, count) => sum + count, 0);
  totals.blocks += blocks;
  totals.live += live;
  totals.partial += partial;
  if (divergence.length > 0) {
    totals.diverged++;
    console.error(`seed ${seed}: ${divergence.length} differences; the first: ${divergence.slice(0, 3).join("; ")}`);
    console.error(`  npm run simulate:faults -- --from ${seed} --seeds 1`);
    if (values["until-diverged"]) break;
  }
  if (process.stderr.isTTY && seed % 10 === 0) process.stderr.write(`\r${totals.seeds} of ${until - from} seeds`);
}
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
if (!values.json)
  console.log(`${totals.seeds} seeds, ${totals.faults} faults, ${totals.blocks} blocks, ${totals.diverged} diverged`);
console.log(JSON.stringify(totals));
process.exit(totals.diverged === 0 ? 0 : 1);
