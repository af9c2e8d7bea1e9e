import { Command } from "commander";
import { createTransport } from "../container.ts";
import { ConfigurationError } from "../errors.ts";
import { defaultTransport, type TransportName } from "../options.ts";
import { type Simulation, type SimulationOptions, startSimulation, type WorkloadOptions } from "../simulator/index.ts";
import { numberFlag } from "./number-flag.ts";
import { StopSignal } from "./stop-signal.ts";
import { formatTable } from "./table.ts";

type WorkloadFlags = Omit<WorkloadOptions, "seed">;

interface Flags extends Omit<SimulationOptions, "transport" | "workload" | "clock">, WorkloadFlags {
  readonly transport?: TransportName;
  readonly seconds?: number;
  readonly truth?: boolean;
  readonly json?: boolean;
}

/** `kv-event-sync simulate`: engines that publish as vLLM does, as a process for others' tests. */
export function simulateCommand(): Command {
  return new Command("simulate")
    .description("Runs engines without a model, which publish and replay KV-cache events as vLLM does.")
    .option("--engines <count>", "engines (default: 3)", numberFlag)
    .option("--ranks <count>", "data-parallel ranks of each (default: 1)", numberFlag)
    .option("--host <address>", "address to bind (default: 127.0.0.1)")
    .option(
      "--port <number>",
      "of the first engine; its replay follows on the next one; 0 takes free ones (default: 5557)",
      numberFlag,
    )
    .option("--replay-port-offset <number>", "from a PUB port to its ROUTER port (default: the ranks)", numberFlag)
    .option("--model <name>", "name of the model (default: simulated)")
    .option("--block-size <tokens>", "tokens per block (default: 16)", numberFlag)
    .option("--capacity-blocks <count>", "blocks on the GPU, of each rank (default: 1024)", numberFlag)
    .option("--cpu-capacity-blocks <count>", "blocks in the CPU tier, of each rank (default: 0)", numberFlag)
    .option("--requests-per-second <rate>", "over all engines (default: 10)", numberFlag)
    .option("--encoding <form>", "of the events: array or map (default: map)")
    .option("--replay-framing <form>", "legacy, or topic as vLLM since 0.26 (default: topic)")
    .option("--topic <text>", "first frame of every message (default: empty)")
    .option("--seed <number>", "determines requests and hashes (default: 0)", numberFlag)
    .option("--conversations <count>", "under way at a time (default: 24)", numberFlag)
    .option("--system-prompts <count>", "that conversations share (default: 3)", numberFlag)
    .option("--system-prompt-tokens <count>", "tokens of each (default: 256)", numberFlag)
    .option("--turn-tokens <count>", "most that a user says in a turn (default: 96)", numberFlag)
    .option("--answer-tokens <count>", "most that an engine answers (default: 160)", numberFlag)
    .option("--turns <count>", "most of a conversation (default: 8)", numberFlag)
    .option("--vocabulary-tokens <count>", "token ids are below it (default: 1000)", numberFlag)
    .option("--transport <name>", "zmtp or libzmq (default: KV_TRANSPORT, else zmtp)")
    .option("--seconds <number>", "end after so long (default: at SIGINT or SIGTERM)", numberFlag)
    .option("--truth", "at the end print what each engine holds, a block a line")
    .option("--json", "print JSON lines on a terminal, too")
    .action(simulate);
}

async function simulate(flags: Flags): Promise<void> {
  const { transport: name = defaultTransport(), seconds, truth = false, json = false, ...options } = flags;
  checkChoices(flags);
  const isPiped = json || !process.stdout.isTTY;
  const transport = await createTransport(name);
  using stop = new StopSignal(seconds);
  await using simulation = await startSimulation({ ...options, workload: workloadOf(flags), transport });
  process.stdout.write(isPiped ? endpointLines(simulation) : endpointTable(simulation));
  await stop.stopped;
  if (truth) for (const line of truthLines(simulation)) process.stdout.write(line);
  const { counters } = simulation;
  process.stdout.write(isPiped ? `${JSON.stringify({ counters })}\n` : `${summary(simulation)}\n`);
}

function workloadOf(flags: WorkloadFlags): WorkloadFlags {
  const { conversations, systemPrompts, systemPromptTokens, turnTokens, answerTokens, turns, vocabularyTokens } = flags;
  const sizes = { conversations, systemPrompts, systemPromptTokens, turnTokens, answerTokens, turns, vocabularyTokens };
  return Object.fromEntries(Object.entries(sizes).filter(([, size]) => size !== undefined));
}

function checkChoices({ encoding, replayFraming, seconds }: Flags): void {
  const check = (flag: string, value: unknown, choices: readonly string[]): void => {
    if (value === undefined || choices.includes(String(value))) return;
    throw new ConfigurationError("invalid-option", `${flag} is ${String(value)}: use ${choices.join(" or ")}`);
  };
  check("--encoding", encoding, ["array", "map"]);
  check("--replay-framing", replayFraming, ["legacy", "topic"]);
  if (seconds !== undefined && !(seconds > 0)) {
    throw new ConfigurationError("invalid-option", `--seconds is ${seconds}: use a number above 0`);
  }
}

function endpointLines({ pods }: Simulation): string {
  return pods
    .flatMap((pod) => pod.ranks.map((rank) => `${JSON.stringify({ pod: pod.key, model: pod.modelName, ...rank })}\n`))
    .join("");
}

function endpointTable({ pods }: Simulation): string {
  const rows = pods.flatMap((pod) =>
    pod.ranks.map(({ rank, endpoint, replayEndpoint = "-" }) => [pod.key, String(rank), endpoint, replayEndpoint]),
  );
  return formatTable([["ENGINE", "RANK", "EVENTS", "REPLAY"], ...rows]);
}

/** One line for each block: whose it is, and all tokens up to its end. */
function* truthLines({ pods }: Simulation): IterableIterator<string> {
  for (const pod of pods) {
    for (const { rank } of pod.ranks) {
      if (!pod.isRunning) continue;
      for (const block of pod.pool(rank)) {
        const { blockHash, loraName, cacheSalt, tiers } = block;
        const identity = { loraName, cacheSalt, tiers, blockHash: String(blockHash) };
        yield `${JSON.stringify({ pod: pod.key, rank, ...identity, tokens: [...block.prefixTokens()] })}\n`;
      }
    }
  }
}

function summary({ counters: { requests, batches, storedBlocks, removedBlocks } }: Simulation): string {
  return `${requests} requests, ${batches} batches, ${storedBlocks} blocks stored, ${removedBlocks} removed`;
}
