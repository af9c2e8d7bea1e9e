// Feeds the ZMTP transport and the decoder of events with whatever breaks parsers and state machines, for as long as it is told to:
//   npm run fuzz -- --seconds 60 [--seed N] [--target NAME] [--runs N] [--json]
// Run i of a target has the seed N + i, and that seed alone makes the same input again.
import { parseArgs } from "node:util";
import { campaign, endProcess } from "./campaign.ts";
import { targets } from "./targets/index.ts";

function fail(problem: string): never {
  console.error(`fuzz: ${problem}`);
  process.exit(2);
}

function wholeNumber(name: string, text: string, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return value <= most ? value : fail(`--${name} is "${text}"; it has to be a whole number up to ${most}`);
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string" },
    seed: { type: "string" },
    target: { type: "string", multiple: true },
    runs: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const all = targets.map(({ name }) => name);
const names = values.target === undefined ? all : all.filter((name) => values.target!.includes(name));
const unknown = values.target?.find((name) => !all.includes(name));
if (unknown !== undefined) fail(`--target is "${unknown}"; it has to be one of ${all.join(", ")}`);
const seed =
  values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : wholeNumber("seed", values.seed, 2 ** 32 - 1);
const runs = values.runs === undefined ? Number.POSITIVE_INFINITY : wholeNumber("runs", values.runs, 2 ** 32);
const defaultSeconds = values.runs === undefined ? "60" : "3600";
const seconds = wholeNumber("seconds", values.seconds ?? defaultSeconds, 86_400);

const started = performance.now();
const result = await campaign({
  module: new URL("targets/index.ts", import.meta.url).href,
  names,
  seed,
  seconds,
  runs,
});
const took = Math.round((performance.now() - started) / 100) / 10;
if (result.failure !== undefined) {
  const { how, target, error } = result.failure;
  console.error(`${how} in ${target}, seed ${result.failure.seed}:\n${error}`);
  console.error(
    `replay: npm run fuzz -- --target ${target} --seed ${result.failure.seed} --runs ${result.failure.runs}`,
  );
} else if (!values.json) {
  console.log(`${result.runs} runs of ${names.length} targets in ${took} s from seed ${seed}: no failure`);
}
if (values.json) console.log(JSON.stringify({ runs: result.runs, seconds: took, failures: result.failure ? 1 : 0 }));
endProcess(result);
