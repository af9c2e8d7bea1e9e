import { readFileSync } from "node:fs";
import { Command } from "commander";
import { KVEventSyncError } from "../errors.ts";
import type { QueryResponse } from "../server/query.ts";
import { formatTable } from "./table.ts";

interface Flags {
  readonly model: string;
  readonly tokensFile: string;
  readonly url: string;
  readonly loraName?: string;
  readonly cacheSalt?: string;
  readonly routingGroup?: string;
  readonly json?: boolean;
}

const MAX_TOKEN_ID = 0xffff_ffff;
const TIMEOUT_MS = 30_000;

/** `kv-event-sync query`: asks a daemon. */
export function queryCommand(): Command {
  return new Command("query")
    .description("Asks a daemon which instance holds the longest part of a prompt.")
    .requiredOption("--model <name>", "the model")
    .requiredOption(
      "--tokens-file <file>",
      "the prompt's token ids: a JSON array, or numbers with spaces between; - reads them here",
    )
    .option("--url <url>", "of the daemon", "http://127.0.0.1:8090")
    .option("--lora-name <name>", "adapter")
    .option("--cache-salt <text>", "salt of the prompt's blocks")
    .option("--routing-group <name>", "which instances (default: default)")
    .option("--json", "print JSON on a terminal, too")
    .action(query);
}

async function query(flags: Flags): Promise<void> {
  const tokens = parseTokens(readTokensFile(flags.tokensFile), flags.tokensFile);
  const answer = await ask(flags, tokens);
  const isPlain = flags.json === true || !process.stdout.isTTY;
  process.stdout.write(isPlain ? `${JSON.stringify(answer)}\n` : formatAnswer(answer, tokens.length));
}

/**
 * Reads token ids: a JSON array, or integers with white space or commas between. `source` names them in an error.
 *
 * @throws KVEventSyncError `invalid-tokens` with the line and the value.
 */
export function parseTokens(text: string, source: string): number[] {
  if (text.trimStart().startsWith("[")) return parseJsonTokens(text, source);
  return text
    .split("\n")
    .flatMap((line, at) =>
      line.split(/[\s,]+/).flatMap((word) => (word === "" ? [] : [checkToken(word, source, at + 1)])),
    );
}

function parseJsonTokens(text: string, source: string): number[] {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch (cause) {
    throw new KVEventSyncError(
      "invalid-tokens",
      `${source}: ${(cause as Error).message}; expected a JSON array of integers`,
      {
        cause,
      },
    );
  }
  return (values as unknown[]).map((value, at) => {
    if (typeof value === "number" && isToken(value)) return value;
    throw new KVEventSyncError("invalid-tokens", `${source}: entry ${at} is ${JSON.stringify(value)}; ${EXPECTED}`);
  });
}

const EXPECTED = `a token id is an integer from 0 to ${MAX_TOKEN_ID}`;

function checkToken(word: string, source: string, line: number): number {
  const value = /^\d+$/.test(word) ? Number(word) : Number.NaN;
  if (isToken(value)) return value;
  throw new KVEventSyncError(
    "invalid-tokens",
    `${source} line ${line}: ${JSON.stringify(word.slice(0, 40))}; ${EXPECTED}`,
  );
}

function isToken(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_TOKEN_ID;
}

function readTokensFile(path: string): string {
  try {
    return readFileSync(path === "-" ? 0 : path, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new KVEventSyncError("invalid-tokens", `--tokens-file ${path}: ${reason}`, { cause });
  }
}

async function ask(flags: Flags, tokens: readonly number[]): Promise<QueryResponse> {
  const { url, model, loraName, cacheSalt, routingGroup } = flags;
  const request = {
    model_name: model,
    token_ids: tokens,
    lora_name: loraName,
    cache_salt: cacheSalt,
    routing_group: routingGroup,
  };
  let response: Response;
  try {
    response = await fetch(new URL("/query", url), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (cause) {
    const { message, cause: deeper } = cause as Error;
    const reason = deeper instanceof Error ? deeper.message : message;
    throw new KVEventSyncError("unreachable", `no daemon at ${url} (${reason}); start one with kv-event-sync serve`, {
      cause,
    });
  }
  const text = await response.text();
  if (response.ok) return JSON.parse(text) as QueryResponse;
  throw new KVEventSyncError("refused", `${url} answers ${response.status}: ${errorIn(text)}`);
}

function errorIn(text: string): string {
  try {
    const { error } = JSON.parse(text) as { readonly error?: unknown };
    return String(error);
  } catch {
    return text.slice(0, 200);
  }
}

/** The answer as a table, best rank of the best instance first. */
export function formatAnswer({ instances }: QueryResponse, promptTokens: number): string {
  const rows = Object.entries(instances).flatMap(([instance, score]) => {
    const ranks = Object.entries(score.dp).sort((left, right) => right[1] - left[1]);
    const { longest_matched, cpu, disk, streams } = score;
    const percent = promptTokens === 0 ? 0 : Math.floor((100 * longest_matched) / promptTokens);
    const own = [String(longest_matched), `${percent} %`];
    if (ranks.length === 0) return [[instance, "-", ...own, "-", String(cpu), String(disk), "-"]];
    return ranks.map(([rank, gpu], at) => [
      at === 0 ? instance : "",
      rank,
      ...(at === 0 ? own : ["", ""]),
      String(gpu),
      ...(at === 0 ? [String(cpu), String(disk)] : ["", ""]),
      streams[rank] ?? "-",
    ]);
  });
  if (rows.length === 0) return `No instance holds the beginning of this prompt of ${promptTokens} tokens.\n`;
  const head = ["INSTANCE", "RANK", "TOKENS", "OF PROMPT", "GPU", "CPU", "DISK", "STREAM"];
  return formatTable([head, ...rows], [1, 2, 3, 4, 5, 6]);
}
