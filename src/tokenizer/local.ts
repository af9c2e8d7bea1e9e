import { Worker } from "node:worker_threads";
import { type Clock, systemClock } from "../clock.ts";
import { ConfigurationError, TokenizerError } from "../errors.ts";
import type { LocalAnswer, LocalTask } from "./local-task.ts";
import type { Prompt, Tokenization, TokenizeOptions, Tokenizer } from "./tokenizer.ts";

export interface LocalTokenizerOptions {
  /** Folder of a model, with its `tokenizer.json`, and its `tokenizer_config.json` for chats. */
  readonly path: string;
  /** For one prompt, from the moment that it is worked on; a template can be without an end. Default 5,000. */
  readonly timeoutMs?: number;
  /** For the first prompt of a thread, which waits for the files, too. Default 30,000. */
  readonly loadTimeoutMs?: number;
  /** Prompts that wait; further ones are refused. Default 1,000. */
  readonly maxQueued?: number;
  /** Default the machine's. */
  readonly clock?: Clock;
}

/** What goes wrong before the first prompt is worked on. */
const LOADING: ReadonlySet<string> = new Set(["missing-package", "invalid-file"]);

interface Job {
  readonly task: LocalTask;
  readonly settle: (answer: LocalAnswer) => void;
}

/**
 * A model's tokenizer from its files, by the optional packages `@huggingface/tokenizers` and `@huggingface/jinja`, in a
 * thread of its own: a prompt of 11,000 tokens takes 40 ms, in which events would wait. The thread starts with the first
 * prompt. One that ends, or takes too long, costs the prompt that it worked on, and no other.
 *
 * @throws ConfigurationError `invalid-option` for an empty path, and for numbers out of range.
 */
export function localTokenizer(options: LocalTokenizerOptions): Tokenizer {
  return new LocalTokenizer(options);
}

class LocalTokenizer implements Tokenizer {
  readonly kind = "local";
  readonly name: string;
  readonly #path: string;
  readonly #limits: Readonly<Record<"timeoutMs" | "loadTimeoutMs" | "maxQueued", number>>;
  readonly #clock: Clock;
  readonly #queue = new Set<Job>();
  #worker: Worker | null = null;
  /** Whether the thread has answered before. */
  #isLoaded = false;
  #current: Job | null = null;
  #timer: unknown = null;
  #isClosed = false;

  constructor(options: LocalTokenizerOptions) {
    if (options.path === "") throw new ConfigurationError("invalid-option", "tokenizer path is empty: give a folder");
    this.#path = options.path;
    this.name = `local ${options.path}`;
    this.#clock = options.clock ?? systemClock;
    this.#limits = {
      timeoutMs: checked("timeoutMs", options.timeoutMs ?? 5_000),
      loadTimeoutMs: checked("loadTimeoutMs", options.loadTimeoutMs ?? 30_000),
      maxQueued: checked("maxQueued", options.maxQueued ?? 1_000),
    };
  }

  async tokenize(prompt: Prompt, { signal }: TokenizeOptions = {}): Promise<Tokenization> {
    const answer = await this.#ask({ kind: "tokenize", prompt }, signal);
    const tokens = answer.kind === "tokens" ? answer.tokens : new Uint32Array();
    return { tokens, servedBy: this.name, maxModelTokens: null };
  }

  async detokenize(tokens: ArrayLike<number>, { signal }: TokenizeOptions = {}): Promise<string> {
    const answer = await this.#ask({ kind: "detokenize", tokens: Array.from(tokens) }, signal);
    return answer.kind === "text" ? answer.text : "";
  }

  async check({ signal }: Pick<TokenizeOptions, "signal"> = {}): Promise<void> {
    await this.#ask({ kind: "check" }, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const jobs = [...(this.#current === null ? [] : [this.#current]), ...this.#queue];
    this.#queue.clear();
    for (const { settle } of jobs) settle(this.#failure("closed", "is closed; make a new one"));
    await this.#stop();
  }

  async #ask(task: LocalTask, signal: AbortSignal | undefined): Promise<LocalAnswer> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw asError(this.#failure("closed", "is closed; make a new one"));
    const { maxQueued } = this.#limits;
    if (this.#queue.size >= maxQueued) {
      throw asError(this.#failure("busy", `${maxQueued} prompts wait already; try again later`));
    }
    let abort: () => void = () => {};
    const answer = await new Promise<LocalAnswer>((resolve, reject) => {
      const job: Job = { task, settle: resolve };
      abort = () => {
        // The one that is worked on goes on, for nobody.
        this.#queue.delete(job);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#queue.add(job);
      this.#next();
    }).finally(() => signal?.removeEventListener("abort", abort));
    if (answer.kind === "error") throw asError(answer);
    return answer;
  }

  #next(): void {
    const [job] = this.#queue;
    if (this.#current !== null) return;
    if (job === undefined) {
      this.#worker?.unref();
      return;
    }
    this.#queue.delete(job);
    this.#current = job;
    this.#worker ??= this.#start();
    this.#worker.ref();
    const limitMs = this.#isLoaded ? this.#limits.timeoutMs : this.#limits.loadTimeoutMs;
    this.#timer = this.#clock.setTimeout(() => {
      this.#lose(this.#failure("timeout", `took longer than ${limitMs} ms; shorten the prompt or check its template`));
    }, limitMs);
    this.#worker.postMessage(job.task);
  }

  #start(): Worker {
    const worker = new Worker(workerUrl(), { workerData: this.#path });
    const isCurrent = (): boolean => worker === this.#worker;
    worker.on("message", (answer: LocalAnswer) => {
      if (isCurrent()) this.#finish(answer);
    });
    let reason = "ended";
    worker.on("error", (error) => {
      reason = `ended: ${error.message}`;
    });
    worker.on("exit", () => {
      if (isCurrent()) this.#lose(this.#failure("crashed", `its thread ${reason}; try again`));
    });
    return worker;
  }

  #finish(answer: LocalAnswer): void {
    this.#isLoaded = true;
    // What cannot be loaded is tried again by the next prompt, in another thread.
    if (answer.kind === "error" && LOADING.has(answer.code)) this.#lose(answer);
    else this.#settle(answer);
  }

  #settle(answer: LocalAnswer): void {
    this.#clock.clearTimeout(this.#timer);
    const job = this.#current;
    this.#current = null;
    job?.settle(answer);
    this.#next();
  }

  /** Gives up the thread and what it worked on; the next prompt gets another one. */
  #lose(failure: LocalAnswer): void {
    this.#stop().catch(() => {});
    this.#settle(failure);
  }

  async #stop(): Promise<void> {
    this.#clock.clearTimeout(this.#timer);
    const worker = this.#worker;
    this.#worker = null;
    this.#isLoaded = false;
    await worker?.terminate();
  }

  #failure(code: TokenizerError["code"], message: string): Extract<LocalAnswer, { kind: "error" }> {
    return { kind: "error", code, message: `tokenizer ${this.name}: ${message}` };
  }
}

/** Run from the sources, a thread does not inherit what runs them: Node 20 has its loaders in the main thread alone. */
function workerUrl(): URL {
  if (!import.meta.url.endsWith(".ts")) return new URL("./local-worker.js", import.meta.url);
  const { href } = new URL("./local-worker.ts", import.meta.url);
  const source = `import { register } from "${import.meta.resolve("tsx/esm/api")}"; register(); await import("${href}");`;
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
}

function asError({ code, message }: Extract<LocalAnswer, { kind: "error" }>): TokenizerError {
  return new TokenizerError(code, message);
}

function checked(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new ConfigurationError("invalid-option", `tokenizer: ${name} is ${value}; expected an integer from 1`);
}
