import { formatTable } from "../../src/cli/table.ts";
import type { IdleCost } from "./measures.ts";
import { middle, type Readings, ratio } from "./rounds.ts";
import { rounded } from "./statistics.ts";
import { cpuRate, type Reading, type Receiver, rate } from "./throughput.ts";
import { encodedMessage } from "./wire.ts";

/** Bytes of payload in a message. */
export const SIZES = [300, 2_048, 16_384] as const;

/** All that a run measured, round by round. */
export interface Measured {
  readonly subscribers: Readonly<Record<number, Readings<Receiver, Reading>>>;
  /** Messages/s of 300 B. */
  readonly publishers: Readings<"ours" | "zeromq", number>;
  /** Microseconds. */
  readonly roundTrips: Readings<"ours" | "zeromq", number>;
  /** MB/s. */
  readonly curve: Readonly<Record<number, Readings<"ours" | "sodium" | "zeromq", number>>>;
  readonly restartMs: number;
  readonly slowMiB: number;
  readonly idle: IdleCost;
}

const RIVALS = ["zeromq", "libzmq_c", "net"] as const;
const NAMES: Readonly<Record<Receiver, string>> = {
  ours: "ours",
  zeromq: "npm zeromq",
  libzmq_c: "libzmq in C",
  net: "plain socket",
};

const same = (value: number): number => value;

function bySize<Value>(pick: (size: number) => Value): Record<string, Value> {
  return Object.fromEntries(SIZES.map((size) => [size, pick(size)]));
}

/** For machines. The first five are what a transport is judged by. */
export function figures({ subscribers, publishers, roundTrips, curve, restartMs, slowMiB, idle }: Measured): object {
  const against = (rival: Receiver, by: (reading: Reading) => number) =>
    bySize((size) => rounded(ratio(subscribers[size]!.ours, subscribers[size]![rival], by)));
  const each = <Name extends string>(readings: Readings<Name, number>) =>
    Object.fromEntries(Object.keys(readings).map((name) => [name, rounded(middle(readings[name as Name], same), 1)]));
  return {
    sub_vs_zeromq: against("zeromq", rate),
    sub_vs_libzmq_c: against("libzmq_c", rate),
    sub_vs_net: against("net", rate),
    pub_vs_zeromq: { 300: rounded(ratio(publishers.ours, publishers.zeromq, same)) },
    idle_connection_bytes: idle.bytes,
    idle_accepted_connection_bytes: idle.acceptedBytes,
    idle_connection_rss_bytes: idle.rssBytes,
    idle_1000_cpu_percent: rounded(idle.cpuPercent, 1),
    sub_vs_zeromq_cpu: against("zeromq", cpuRate),
    sub_vs_libzmq_c_cpu: against("libzmq_c", cpuRate),
    sub_vs_net_cpu: against("net", cpuRate),
    sub_messages_per_s: bySize((size) => rounded(middle(subscribers[size]!.ours, rate), 0)),
    pub_messages_per_s: { 300: rounded(middle(publishers.ours, same), 0) },
    round_trip_us: each(roundTrips),
    curve_mb_per_s: bySize((size) => each(curve[size]!)),
    restart_ms: rounded(restartMs, 1),
    slow_consumer_mib: rounded(slowMiB, 0),
  };
}

function number(value: number | null, digits = 0): string {
  return value === null
    ? "-"
    : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function subscriberRows({ subscribers }: Measured): string[][] {
  return SIZES.flatMap((size) => {
    const readings = subscribers[size]!;
    return (["ours", ...RIVALS] as const).map((receiver) => {
      const perSecond = middle(readings[receiver], rate);
      const perCpuSecond = middle(readings[receiver], cpuRate);
      const ours = (by: (reading: Reading) => number): string =>
        receiver === "ours" ? "" : number(ratio(readings.ours, readings[receiver], by), 2);
      return [
        `${number(size)} B`,
        NAMES[receiver],
        number(perSecond),
        number(perSecond && (perSecond * encodedMessage(size).length) / 1e6),
        number(perCpuSecond && 1e6 / perCpuSecond, 2),
        ours(rate),
        ours(cpuRate),
      ];
    });
  });
}

/** For people. */
export function table(measured: Measured, machine: Readonly<Record<string, string | number>>): string {
  const { publishers, roundTrips, curve, restartMs, slowMiB, idle } = measured;
  const pair = (readings: Readings<"ours" | "zeromq", number>): [string, string, string] => [
    number(middle(readings.ours, same)),
    number(middle(readings.zeromq, same)),
    number(ratio(readings.ours, readings.zeromq, same), 2),
  ];
  const head = ["PAYLOAD", "SUBSCRIBER", "MESSAGES/S", "MB/S", "CPU µs", "OURS ÷ IT", "BY CPU"];
  const rows = [
    ["", "OURS", "NPM ZEROMQ", "RATIO"],
    ["publisher, 300 B, messages/s", ...pair(publishers)],
    ["dealer to router and back, µs", ...pair(roundTrips)],
  ];
  const encrypted = [
    ["CURVE, MB/S", "OURS", "WITH LIBSODIUM", "NPM ZEROMQ"],
    ...SIZES.map((size) => {
      const { ours, sodium, zeromq } = curve[size]!;
      return [`${number(size)} B`, ...[ours, sodium, zeromq].map((each) => number(middle(each, same), 1))];
    }),
  ];
  const alone = [
    ["restart to first message", `${number(restartMs)} ms`],
    ["slow consumer grows by", `${number(slowMiB)} MiB`],
    [
      "idle connection, dialled",
      `${number(idle.bytes / 1_024, 1)} KiB (${number(idle.rssBytes / 1_024, 1)} KiB of RSS)`,
    ],
    ["idle connection, accepted", `${number(idle.acceptedBytes / 1_024, 1)} KiB`],
    ["1,000 of them", `${number(idle.cpuPercent, 1)} % of a core`],
    ...Object.entries(machine).map(([name, value]) => [name, String(value)]),
  ];
  return [
    formatTable([head, ...subscriberRows(measured)], [0, 2, 3, 4, 5, 6]),
    formatTable(rows, [1, 2, 3]),
    formatTable(encrypted, [1, 2, 3]),
    formatTable(alone),
  ].join("\n");
}
