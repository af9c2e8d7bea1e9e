/**
 * `npm run bench:transport [-- --json] [--quick]`: our transport beside its rivals, on the same bytes, in one run. Each
 * takes its turn in every round; figures are medians, and what counts are the ratios.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import type { CurveKind } from "./curve.ts";
import { curveRate, idleCost, publishRate, roundTrip, slowConsumer } from "./measures.ts";
import { findPeers, isInstalled, type Peers } from "./peers.ts";
import { figures, type Measured, SIZES, table } from "./report.ts";
import { measureRestart } from "./restart.ts";
import { interleaved } from "./rounds.ts";
import { type Receiver, read } from "./throughput.ts";

const { values: flags } = parseArgs({ options: { json: { type: "boolean" }, quick: { type: "boolean" } } });
const isQuick = flags.quick === true;
const ROUNDS = isQuick ? 1 : 5;

/** Messages that our subscriber reads in a second or so, by payload. The binding gets fewer. */
const MESSAGES: Readonly<Record<number, number>> = { 300: 1_600_000, 2048: 700_000, 16384: 100_000 };
const ZEROMQ_SHARE = 8;

/** Messages of CURVE in a second or so, by payload. */
const CURVE_MESSAGES: Readonly<Record<number, number>> = { 300: 20_000, 2048: 15_000, 16384: 4_000 };

const SHARE = isQuick ? 1 / 5 : 1;

const progress =
  (what: string) =>
  (name: string, round: number): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}, round ${round + 1} of ${ROUNDS}: ${name}`);
  };

const present = <T>(isPresent: boolean, run: T): T | null => (isPresent ? run : null);

async function subscribers(peers: Peers): Promise<Measured["subscribers"]> {
  const result: Record<number, Measured["subscribers"][number]> = {};
  for (const size of SIZES) {
    const one = (receiver: Receiver, share: number) => () =>
      read(receiver, size, Math.ceil(MESSAGES[size]! * SHARE * share), peers);
    result[size] = await interleaved(
      ROUNDS,
      {
        ours: one("ours", 1),
        zeromq: present(peers.hasZeromq, one("zeromq", 1 / ZEROMQ_SHARE)),
        libzmq_c: present(peers.libzmq !== null, one("libzmq_c", 1 / 2)),
        net: one("net", 1),
      },
      progress(`subscriber, ${size} B`),
    );
  }
  return result;
}

async function curve(peers: Peers): Promise<Measured["curve"]> {
  const result: Record<number, Measured["curve"][number]> = {};
  for (const size of SIZES) {
    const one = (kind: CurveKind) => () => curveRate(kind, size, Math.ceil(CURVE_MESSAGES[size]! * SHARE));
    result[size] = await interleaved(
      ROUNDS,
      {
        ours: one("curve"),
        sodium: present(isInstalled("libsodium-wrappers"), one("curve_sodium")),
        zeromq: present(peers.hasZeromq, one("curve_zeromq")),
      },
      progress(`CURVE, ${size} B`),
    );
  }
  return result;
}

/** Ours and npm `zeromq` in turn. */
function both(
  peers: Peers,
  what: string,
  run: (kind: "ours" | "zeromq") => Promise<number>,
): Promise<Measured["publishers"]> {
  const zeromq = present(peers.hasZeromq, () => run("zeromq"));
  return interleaved(ROUNDS, { ours: () => run("ours"), zeromq }, progress(what));
}

async function measure(peers: Peers): Promise<Measured> {
  const seconds = isQuick ? 1 : 2;
  return {
    subscribers: await subscribers(peers),
    publishers: await both(peers, "publisher, 300 B", (kind) => publishRate(kind, 300, seconds)),
    roundTrips: await both(peers, "round trip", (kind) => roundTrip(kind, isQuick ? 10_000 : 30_000)),
    curve: await curve(peers),
    restartMs: await measureRestart(isQuick ? 5 : 25),
    slowMiB: await slowConsumer(2_048, isQuick ? 1 : 5),
    idle: await idleCost(1_000, isQuick ? 1 : 10),
  };
}

const peers = findPeers();
try {
  const measured = await measure(peers);
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  const machine = {
    rounds: ROUNDS,
    node: process.version,
    cpu: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`,
    sender: peers.senderLanguage,
  };
  process.stdout.write(
    flags.json === true ? `${JSON.stringify({ ...figures(measured), ...machine })}\n` : table(measured, machine),
  );
} finally {
  peers.dispose();
}
