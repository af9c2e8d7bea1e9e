import { Command } from "commander";
import { readRecording } from "../recording/file.ts";
import type { Stop } from "../recording/format.ts";
import { type DescribedMessage, inspectRecording } from "../recording/inspect.ts";
import { formatTable } from "./table.ts";

interface Flags {
  readonly messages?: boolean;
  readonly json?: boolean;
}

/** `kv-event-sync inspect`: what a recording holds. */
export function inspectCommand(): Command {
  return new Command("inspect")
    .description("Explains a recording: who sent what, with which gaps, and what could not be read.")
    .argument("<file>", "that record, or serve --record, wrote")
    .option("--messages", "each message on a line, too")
    .option("--json", "print JSON, as when piped")
    .action(inspect);
}

async function inspect(file: string, { messages = false, json }: Flags): Promise<void> {
  const isJson = json === true || process.stdout.isTTY !== true;
  let stop: Stop | null = null;
  const onMessage = (message: DescribedMessage): void => {
    if (messages) process.stdout.write(isJson ? `${JSON.stringify(message)}\n` : `${lineOf(message)}\n`);
  };
  const records = readRecording(file, (found) => {
    stop = found;
  });
  const inspection = await inspectRecording(records, onMessage);
  if (isJson) {
    process.stdout.write(`${JSON.stringify({ ...inspection, torn: stop !== null })}\n`);
    return;
  }
  const { firstMs, lastMs, endpoints, pods, records: count, sessions } = inspection;
  if (firstMs !== null && lastMs !== null) {
    const seconds = ((lastMs - firstMs) / 1_000).toFixed(1);
    process.stdout.write(
      `${new Date(firstMs).toISOString()}, ${seconds} s, ${count} records, ${sessions} sessions, ${pods.length} pods\n\n`,
    );
  }
  const rows = endpoints.map((each) => [
    each.stream ?? "-",
    each.type === "dealer" ? "replay" : "live",
    each.endpoint,
    String(each.connections),
    String(each.messages),
    String(each.bytes),
    each.firstSequence === null ? "-" : `${each.firstSequence}–${each.lastSequence}`,
    String(each.gaps),
    String(each.restarts),
    Object.entries(each.events)
      .map(([type, events]) => `${type} ${events}`)
      .join(", "),
  ]);
  const head = [
    "STREAM",
    "",
    "ENDPOINT",
    "CONNECTIONS",
    "MESSAGES",
    "BYTES",
    "SEQUENCES",
    "GAPS",
    "RESTARTS",
    "EVENTS",
  ];
  process.stdout.write(formatTable([head, ...rows], [3, 4, 5, 7, 8]));
  for (const { endpoint, undecodable, undecodableMessages } of endpoints) {
    if (undecodableMessages === 0) continue;
    process.stdout.write(`\n${endpoint}: ${undecodableMessages} could not be read\n`);
    for (const reason of undecodable) process.stdout.write(`  ${reason}\n`);
  }
  if (stop !== null) process.stdout.write("\nThe end is torn: its last record was not written to the end.\n");
}

function lineOf({ timeMs, stream, endpoint, text }: DescribedMessage): string {
  return `${new Date(timeMs).toISOString()}  ${stream ?? endpoint}  ${text}`;
}
