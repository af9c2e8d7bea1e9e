import { Command } from "commander";
import { createTransport } from "../container.ts";
import { ConfigurationError } from "../errors.ts";
import { defaultTransport, type TransportName } from "../options.ts";
import {
  type EngineServers,
  type ServingModelOptions,
  type Simulation,
  type SimulationOptions,
  startEngineServers,
  startSimulation,
  type WorkloadOptions,
} from "../simulator/index.ts";
import { localTokenizer } from "../tokenizer/local.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { numberFlag } from "./number-flag.ts";
import { StopSignal } from "./stop-signal.ts";
import { formatTable } from "./table.ts";

type WorkloadFlags = Omit<WorkloadOptions, "seed">;

interface Flags
  extends Omit<SimulationOptions, "transport" | "workload" | "clock">,
    WorkloadFlags,
    Omit<ServingModelOptions, "maxWaiting"> {
  readonly httpPort?: number;
  readonly tokenizerPath?: string;
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
    .option(
      "--requests-per-second <rate>",
      "over all engines, straight into their caches (default: 10; with --http-port 0)",
      numberFlag,
    )
    .option(
      "--http-port <number>",
      "speak OpenAI's API, as vLLM does: of the first engine, the others follow; 0 takes free ones (default: none)",
      numberFlag,
    )
    .option("--tokenizer-path <folder>", "of a model with its tokenizer.json, for HTTP (default: each byte is a token)")
    .option("--prefill-tokens-per-second <rate>", "of the prompts over HTTP (default: 10000)", numberFlag)
    .option("--decode-tokens-per-second <rate>", "of each answer over HTTP (default: 50)", numberFlag)
    .option("--max-running <count>", "requests over HTTP at a time, of each rank (default: 256)", numberFlag)
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
  const { httpPort, requestsPerSecond = httpPort === undefined ? 10 : 0 } = flags;
  await using simulation = await startSimulation({
    ...options,
    requestsPerSecond,
    workload: workloadOf(flags),
    transport,
  });
  await using tokenizer = flags.tokenizerPath === undefined ? null : localTokenizer({ path: flags.tokenizerPath });
  // Now, not with the first prompt.
  await tokenizer?.check();
  await using http = httpPort === undefined ? null : await startHttp(simulation, { flags, port: httpPort, tokenizer });
  const urls = new Map((http?.servers ?? []).map(({ pod, url }) => [pod.key, url]));
  process.stdout.write(isPiped ? endpointLines(simulation, urls) : endpointTable(simulation, urls));
  await stop.stopped;
  if (truth) for (const line of truthLines(simulation)) process.stdout.write(line);
  const { counters } = simulation;
  process.stdout.write(isPiped ? `${JSON.stringify({ counters })}\n` : `${summary(simulation)}\n`);
}

interface Http {
  readonly flags: Flags;
  readonly port: number;
  readonly tokenizer: Tokenizer | null;
}

function startHttp({ pods }: Simulation, { flags, port, tokenizer }: Http): Promise<EngineServers> {
  const { host, prefillTokensPerSecond, decodeTokensPerSecond, maxRunning } = flags;
  const rates = { host, prefillTokensPerSecond, decodeTokensPerSecond, maxRunning };
  const given = Object.fromEntries(Object.entries(rates).filter(([, value]) => value !== undefined));
  return startEngineServers({ pods, port, ...given, ...(tokenizer !== null && { tokenizer }) });
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

function endpointLines({ pods }: Simulation, urls: ReadonlyMap<string, string>): string {
  const lines = pods.flatMap(({ key, modelName: model, ranks }) => {
    const url = urls.get(key);
    return ranks.map((rank) => ({ pod: key, model, ...rank, ...(url !== undefined && { url }) }));
  });
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

function endpointTable({ pods }: Simulation, urls: ReadonlyMap<string, string>): string {
  const withUrl = (url: string): string[] => (urls.size === 0 ? [] : [url]);
  const rows = pods.flatMap(({ key, ranks }) =>
    ranks.map(({ rank, endpoint, replayEndpoint = "-" }) => [
      ...[key, String(rank), endpoint, replayEndpoint],
      ...withUrl(urls.get(key) ?? "-"),
    ]),
  );
  return formatTable([["ENGINE", "RANK", "EVENTS", "REPLAY", ...withUrl("HTTP")], ...rows]);
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
