import { Command } from "commander";
import { ConfigurationError } from "../errors.ts";
import { SyncPrefixHashTable } from "../indexer/sync-prefix-hash-table.ts";
import type { SyncPrefixHashTableOptions } from "../indexer/table-options.ts";
import { readRecording } from "../recording/file.ts";
import type { Recorded } from "../recording/format.ts";
import { playRecording } from "../recording/play.ts";
import type { StreamOptions } from "../sync/options.ts";
import type { StreamInfo } from "../sync/status.ts";
import { formatTable } from "./table.ts";

interface Flags {
  readonly speed: string;
  readonly json?: boolean;
}

/** `kv-event-sync replay`: lets a recording happen again, and says what comes out. */
export function replayCommand(): Command {
  return new Command("replay")
    .description("Feeds a recording to the same streams and index, and says what they hold at its end.")
    .argument("<file>", "that record, or serve --record, wrote")
    .option("--speed <factor>", "times as fast as it was; max: as fast as it goes", "max")
    .option("--json", "print JSON, as when piped")
    .action(replay);
}

async function replay(file: string, { speed, json }: Flags): Promise<void> {
  const { index, streams } = await optionsOf(file);
  const indexer = new SyncPrefixHashTable(index);
  await using played = await playRecording(readRecording(file), { speed: factorOf(speed), indexer, streams });
  const infos = played.manager.pods().flatMap((pod) => pod.streams);
  const held = (info: StreamInfo): number =>
    [...indexer.heldBlocks({ model: info.model, pod: info.pod, rank: info.rank, loraId: -1 })].length;
  if (json === true || process.stdout.isTTY !== true) {
    const shown = infos.map((info) => ({ ...info, connection: info.connection?.status, heldBlocks: held(info) }));
    const { records, unclaimed } = played;
    process.stdout.write(`${JSON.stringify({ records, unclaimed, streams: shown, index: indexer.stats() })}\n`);
    return;
  }
  const rows = infos.map((info) => [
    `${info.pod} ${info.rank}`,
    info.status,
    ...[info.batches, info.events, info.missedBatches, info.replays, info.purges, held(info)].map(String),
  ]);
  const head = ["STREAM", "STATUS", "BATCHES", "EVENTS", "MISSED", "REPLAYS", "PURGES", "BLOCKS"];
  process.stdout.write(formatTable([head, ...rows], [2, 3, 4, 5, 6, 7]));
  const { blocks, holders, orphans } = indexer.stats();
  process.stdout.write(`\n${played.records} records; ${blocks} blocks, ${holders} holders, ${orphans} orphans\n`);
  if (played.unclaimed > 0)
    process.stdout.write(`${played.unclaimed} messages were for sockets that were not made this time\n`);
}

/** Those that it was recorded with: they decide what streams do. */
async function optionsOf(file: string): Promise<{ index: SyncPrefixHashTableOptions; streams: StreamOptions }> {
  for await (const { kind, json } of readRecording(file) as AsyncIterable<Recorded>) {
    if (kind !== "session") break;
    const { index = {}, streams = {} } = json as { index?: SyncPrefixHashTableOptions; streams?: StreamOptions };
    return { index, streams };
  }
  return { index: {}, streams: {} };
}

function factorOf(speed: string): number {
  if (speed === "max") return Number.POSITIVE_INFINITY;
  const factor = Number(speed);
  if (factor > 0) return factor;
  throw new ConfigurationError("invalid-option", `--speed is ${JSON.stringify(speed)}: use max, or a number above 0`);
}
