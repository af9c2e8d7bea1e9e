/**
 * `npm run bench:transport [-- --json] [--quick]`: our transport beside its rivals, on the same bytes, in one run. All
 * figures are medians of rounds in which each takes its turn; what counts are the ratios.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { formatTable } from "../../src/cli/table.ts";
import { curveRate, idleCost, publishRate, roundTrip, slowConsumer } from "./measures.ts";
import { measureRestart } from "./restart.ts";
import { median, rounded } from "./statistics.ts";
import { compileSubscriber, type Receiver, read } from "./throughput.ts";

const { values: flags } = parseArgs({ options: { json: { type: "boolean" }, quick: { type: "boolean" } } });
const isQuick = flags.quick === true;
const ROUNDS = isQuick ? 1 : 5;
/** Messages for our subscriber to read in a second or so, by payload. */
const SIZES: Readonly<Record<number, number>> = { 300: 2_000_000, 2048: 1_000_000, 16384: 150_000 };
/** The binding reads fewer in that time. */
const ZEROMQ_SHARE = 8;

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

async function subscribers(): Promise<
  Record<string, Record<Receiver, { readonly rate: number; readonly megabytes: number } | null>>
> {
  const binary = compileSubscriber();
  const receivers: readonly Receiver[] = ["ours", "zeromq", "libzmq_c", "net"];
  const result: Awaited<ReturnType<typeof subscribers>> = {};
  for (const [size, full] of Object.entries(SIZES)) {
    const messages = isQuick ? full / 5 : full;
    const rates = new Map<Receiver, number[]>(receivers.map((each) => [each, []]));
    const megabytes = new Map<Receiver, number[]>(receivers.map((each) => [each, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const receiver of receivers) {
        if (receiver === "libzmq_c" && binary === null) continue;
        progress(`subscriber, ${size} B, round ${round + 1} of ${ROUNDS}: ${receiver}`);
        const share = receiver === "zeromq" ? ZEROMQ_SHARE : 1;
        const reading = await read(receiver, Number(size), Math.ceil(messages / share), binary);
        rates.get(receiver)!.push(reading.messages / reading.seconds);
        megabytes.get(receiver)!.push(reading.bytes / reading.seconds / 1e6);
      }
    }
    result[size] = Object.fromEntries(
      receivers.map((each) => {
        const [all, mb] = [rates.get(each)!, megabytes.get(each)!];
        return [each, all.length === 0 ? null : { rate: median(all), megabytes: median(mb) }];
      }),
    ) as (typeof result)[string];
  }
  return result;
}

async function medianOf(
  label: string,
  measure: () => Promise<number>,
  rounds: number = Math.min(ROUNDS, 3),
): Promise<number> {
  const values: number[] = [];
  for (let round = 0; round < rounds; round++) {
    progress(`${label}, round ${round + 1} of ${rounds}`);
    values.push(await measure());
  }
  return median(values);
}

const subscriber = await subscribers();
const ratioTo = (rival: Receiver) =>
  Object.fromEntries(
    Object.entries(subscriber).map(([size, by]) => {
      const unit = rival === "net" ? "megabytes" : "rate";
      return [size, by[rival] === null ? null : rounded(by.ours![unit] / by[rival][unit])];
    }),
  );

const seconds = isQuick ? 1 : 3;
const ourPublisher = await medianOf("publisher, 300 B: ours", () => publishRate("ours", 300, seconds));
const theirPublisher = await medianOf("publisher, 300 B: zeromq", () => publishRate("zeromq", 300, seconds));
const trips = isQuick ? 1_000 : 10_000;
const ourTrip = await medianOf("round trip: ours", () => roundTrip("ours", trips));
const theirTrip = await medianOf("round trip: zeromq", () => roundTrip("zeromq", trips));
const curve: Record<string, number> = {};
for (const [size, count] of Object.entries({ 300: 100_000, 2048: 50_000, 16384: 10_000 })) {
  const messages = isQuick ? count / 10 : count;
  curve[size] = rounded(await medianOf(`CURVE, ${size} B`, () => curveRate(Number(size), messages)), 1);
}
progress("restart");
const restartMs = rounded(await measureRestart(isQuick ? 5 : 25), 1);
progress("1,000 idle connections");
const idle = await idleCost(1_000, isQuick ? 1 : 10);
progress("slow consumer");
const slowMiB = rounded(await slowConsumer(2_048, isQuick ? 1 : 5), 0);
progress("");

const result = {
  sub_vs_zeromq: ratioTo("zeromq"),
  sub_vs_libzmq_c: ratioTo("libzmq_c"),
  sub_vs_net: ratioTo("net"),
  pub_vs_zeromq: { 300: rounded(ourPublisher / theirPublisher) },
  idle_connection_bytes: idle.bytes,
  idle_connection_rss_bytes: idle.rssBytes,
  idle_1000_cpu_percent: rounded(idle.cpuPercent, 1),
  round_trip_us: { ours: rounded(ourTrip, 1), zeromq: rounded(theirTrip, 1) },
  curve_mb_per_s: curve,
  restart_ms: restartMs,
  slow_consumer_mib: slowMiB,
  rounds: ROUNDS,
  node: process.version,
  cpu: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`,
};

function table(): string {
  const thousands = (value: number): string => `${Math.round(value / 1_000).toLocaleString("en")} k`;
  const cells = Object.entries(subscriber).map(([size, by]) => [
    `${size} B`,
    ...(["ours", "zeromq", "libzmq_c", "net"] as const).map((each) => {
      const value = by[each];
      return value === null ? "-" : `${thousands(value.rate)} (${Math.round(value.megabytes)} MB/s)`;
    }),
    ...(["zeromq", "libzmq_c", "net"] as const).map((each) => String(ratioTo(each)[size] ?? "-")),
  ]);
  const head = ["SUBSCRIBER", "OURS", "NPM ZEROMQ", "LIBZMQ IN C", "NET", "÷ ZEROMQ", "÷ LIBZMQ", "÷ NET"];
  const lines = [
    ["publisher, 300 B", `${thousands(ourPublisher)}/s`, `zeromq ${thousands(theirPublisher)}/s`],
    ["round trip", `${rounded(ourTrip, 1)} µs`, `zeromq ${rounded(theirTrip, 1)} µs`],
    [
      "CURVE",
      Object.entries(curve)
        .map(([size, mb]) => `${size} B ${mb} MB/s`)
        .join(", "),
      "",
    ],
    ["restart to first message", `${restartMs} ms`, ""],
    [
      "idle connection",
      `${(idle.bytes / 1_024).toFixed(1)} KiB held, ${(idle.rssBytes / 1_024).toFixed(1)} KiB of RSS`,
      "",
    ],
    ["1,000 of them", `${rounded(idle.cpuPercent, 1)} % of a core`, ""],
    ["slow consumer", `grows by ${slowMiB} MiB`, ""],
  ];
  return `${formatTable([head, ...cells], [1, 2, 3, 4, 5, 6, 7])}\n${formatTable(lines)}`;
}

if (flags.json !== true) process.stdout.write(table());
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
