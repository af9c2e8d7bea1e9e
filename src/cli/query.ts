import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { Command } from "commander";
import { ConfigurationError, KVEventSyncError } from "../errors.ts";
import { shownValue } from "../schema-issue.ts";
import type { QueryResponse } from "../server/query.ts";
import { formatTable } from "./table.ts";

interface Flags {
  readonly model: string;
  readonly tokensFile?: string;
  readonly prompt?: string;
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
    .option("--prompt <text>", "the prompt, for a daemon with a tokenizer")
    .option(
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
  const endpoint = queryUrl(flags.url);
  const { prompt, tokensFile } = flags;
  if ((prompt === undefined) === (tokensFile === undefined)) {
    throw new ConfigurationError("invalid-option", "query takes --tokens-file or --prompt: give one of them");
  }
  const tokens = tokensFile === undefined ? undefined : parseTokens(await readTokensFile(tokensFile), tokensFile);
  const answer = await ask(endpoint, flags, tokens === undefined ? { prompt } : { token_ids: tokens });
  const isPlain = flags.json === true || !process.stdout.isTTY;
  const count = tokens?.length ?? answer.tokenized?.tokens ?? 0;
  process.stdout.write(isPlain ? `${JSON.stringify(answer)}\n` : formatAnswer(answer, count));
}

/**
 * Reads token ids: a JSON array, or integers with white space or commas between. `source` names them in an error.
 *
 * @throws KVEventSyncError `invalid-tokens` with the line and the value.
 */
export function parseTokens(content: string, source: string): number[] {
  const unmarked = content.replace(/^\uFEFF/, "");
  if (unmarked.trimStart().startsWith("[")) return parseJsonTokens(unmarked, source);
  return unmarked
    .split("\n")
    .flatMap((line, at) =>
      line.split(/[\s,]+/).flatMap((word) => (word === "" ? [] : [checkToken(word, source, at + 1)])),
    );
}

function parseJsonTokens(content: string, source: string): number[] {
  let values: unknown;
  try {
    values = JSON.parse(content);
  } catch (cause) {
    throw new KVEventSyncError(
      "invalid-tokens",
      // The parser quotes the lines around its mistake.
      `${source}: ${(cause as Error).message.replace(/\s+/g, " ")}; expected a JSON array of integers`,
      { cause },
    );
  }
  return (values as unknown[]).map((value, at) => {
    if (typeof value === "number" && isToken(value)) return value;
    throw new KVEventSyncError("invalid-tokens", `${source}: entry ${at} is ${shownValue(value)}; ${EXPECTED}`);
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

async function readTokensFile(path: string): Promise<string> {
  try {
    // As a stream: read at once, a standard input that does not block fails where nothing has come yet.
    return await (path === "-" ? text(process.stdin) : readFile(path, "utf8"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new KVEventSyncError("invalid-tokens", `--tokens-file ${path}: ${reason}`, { cause });
  }
}

function queryUrl(base: string): URL {
  const text = base.endsWith("/") ? base : `${base}/`;
  if (/^https?:\/\//i.test(base) && URL.canParse("query", text)) return new URL("query", text);
  throw new ConfigurationError("invalid-option", `--url is ${shownValue(base)}: use one such as http://127.0.0.1:8090`);
}

async function ask(endpoint: URL, flags: Flags, prompt: object): Promise<QueryResponse> {
  const { url, model, loraName, cacheSalt, routingGroup } = flags;
  const request = {
    model_name: model,
    ...prompt,
    lora_name: loraName,
    cache_salt: cacheSalt,
    routing_group: routingGroup,
  };
  let response: Response;
  let body: string;
  try {
    response = await fetch(endpoint, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    body = await response.text();
  } catch (cause) {
    const { message, cause: deeper } = cause as Error;
    // The error of a name with several addresses has a code and no message.
    const { message: reason, code } = (deeper ?? {}) as Partial<NodeJS.ErrnoException>;
    throw new KVEventSyncError(
      "unreachable",
      `no daemon at ${url} (${reason || code || message}); start one with kv-event-sync serve`,
      { cause },
    );
  }
  const answer = parsed(body);
  if (response.ok && isAnswer(answer)) return answer;
  const reason = isError(answer) ? answer.error : `${shownValue(body)}; is that kv-event-sync serve?`;
  throw new KVEventSyncError("refused", `${url} answers ${response.status}: ${reason}`);
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function isAnswer(value: unknown): value is QueryResponse {
  return isObject(value) && isObject(value["instances"]);
}

function isError(value: unknown): value is { readonly error: string } {
  return isObject(value) && typeof value["error"] === "string";
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** The answer as a table, best rank of the best instance first. */
export function formatAnswer({ instances }: QueryResponse, promptTokens: number): string {
  // The objects have no such order: JavaScript puts names that are numbers first.
  const best = Object.entries(instances).sort(
    ([leftName, left], [rightName, right]) =>
      right.longest_matched - left.longest_matched || right.gpu - left.gpu || (leftName < rightName ? -1 : 1),
  );
  const rows = best.flatMap(([instance, score]) => {
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
