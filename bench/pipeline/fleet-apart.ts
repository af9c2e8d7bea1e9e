/**
 * `tsx bench/pipeline/fleet-apart.ts [--rounds 5]`: how soon questions are answered while 1,000 pods publish, by the
 * thread that takes all in and, in the same rounds, by one apart from it that does nothing else. So much could a worker
 * gain at most. Prints each reading, and the medians as a line of JSON.
 */
import { parseArgs } from "node:util";
import { interleaved, middle } from "../transport/rounds.ts";
import { rounded } from "../transport/statistics.ts";
import { type FleetReading, measureFleet } from "./fleet-run.ts";

const PODS = 1_000;

const { values } = parseArgs({ options: { rounds: { type: "string", default: "5" } } });

const inMs = ({ blocksPerSecond, load, latency }: FleetReading) => ({
  blocks_per_s: rounded(blocksPerSecond, 0),
  load: rounded(load),
  p50_ms: rounded(latency.p50 / 1_000),
  p99_ms: rounded(latency.p99 / 1_000),
  max_ms: rounded(latency.max / 1_000),
});
type Row = ReturnType<typeof inMs>;

const readings = await interleaved<string, Row>(
  Number(values.rounds),
  Object.fromEntries(
    [false, true].flatMap((apart) => {
      const measure = async (name: string, ...task: readonly [number, number, number]): Promise<Row> => {
        const row = inMs(await measureFleet(PODS, ...task, apart));
        console.log(name, JSON.stringify(row));
        return row;
      };
      const where = apart ? "apart" : "together";
      return [
        [`paced ${where}`, () => measure(`paced ${where}`, 160, 8, 50)],
        [`full ${where}`, () => measure(`full ${where}`, 1_500, 0, 200)],
      ];
    }),
  ),
  () => {},
);
const medians = Object.entries(readings).map(([name, rows]) => [
  name,
  Object.fromEntries((Object.keys(rows[0]!) as (keyof Row)[]).map((key) => [key, middle(rows, (row) => row[key])])),
]);
console.log(JSON.stringify(Object.fromEntries(medians)));
