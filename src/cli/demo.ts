import { Command } from "commander";
import { systemClock } from "../clock.ts";
import { createStore, createTransport } from "../container.ts";
import { renderGateway } from "../demo/gateway.ts";
import { renderRoute } from "../demo/route.ts";
import { type DemoOutcome, type DemoParts, type DemoPipeline, runDemo } from "../demo/run.ts";
import { Screen } from "../demo/screen.ts";
import { type Line, printLine } from "../demo/text.ts";
import { describeDifference, exitCodeOf } from "../demo/verdict.ts";
import { type DemoFrame, renderFrame, renderHappening, renderTable } from "../demo/view.ts";
import { ConfigurationError, KVEventSyncError } from "../errors.ts";
import type { Transport } from "../transport.ts";
import { StopSignal } from "./stop-signal.ts";

interface DemoFlags {
  readonly json: boolean;
  readonly seconds: number;
  readonly engines: number;
}

/** As a shell tells of SIGINT. */
const INTERRUPTED = 130;
/** More would fill the screen, and nobody reads them. */
const MAX_DIFFERENCES = 10;

const number = (value: string): number => Number(value);

/**
 * `kv-event-sync demo`: engines, the index that follows them, a routed prompt, and a comparison of the index with what
 * the engines hold. Exit code 0 where they agree, 1 where not, 130 after a signal.
 */
export function demoCommand(): Command {
  return new Command("demo")
    .description("Shows it at work: simulated engines over TCP, their index, a routed prompt, a check of every block.")
    .option("--json", "print the result as one line of JSON, and what happens on stderr", false)
    .option("--seconds <number>", "how long conversations run, 2 to 20", number, 12)
    .option("--engines <count>", "simulated engines, 1 to 16", number, 3)
    .action(async (flags: DemoFlags) => {
      checkFlags(flags);
      process.exitCode = await demonstrate(flags);
    });
}

function checkFlags({ seconds, engines }: DemoFlags): void {
  if (!(seconds >= 2 && seconds <= 20)) {
    throw new ConfigurationError("invalid-option", `--seconds is ${seconds}: use a number from 2 to 20`);
  }
  if (!(Number.isInteger(engines) && engines >= 1 && engines <= 16)) {
    throw new ConfigurationError("invalid-option", `--engines is ${engines}: use a whole number from 1 to 16`);
  }
}

async function demonstrate(flags: DemoFlags): Promise<number> {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  using stop = new StopSignal();
  void stop.stopped.then(abort);
  // A reader that went away, such as `head`, has seen enough.
  process.stdout.on("error", abort);
  const display = flags.json ? new Lines(process.stderr) : displayOn(process.stdout, flags.engines);
  try {
    const transport = await createTransport("zmtp");
    const outcome = await runDemo(flags, {
      transport,
      openPipeline: (endpoints, observer) => openPipeline(transport, endpoints, observer),
      clock: systemClock,
      onFrame: (frame) => display.frame(frame),
      onHappening: (happening) => display.lines([renderHappening(happening)]),
      signal: controller.signal,
    });
    display.end(outcome);
    if (flags.json) process.stdout.write(`${JSON.stringify(resultOf(outcome))}\n`);
    return exitCodeOf(outcome.verdict);
  } catch (error) {
    display.end(null);
    if (!controller.signal.aborted) throw error;
    process.stderr.write("interrupted\n");
    return INTERRUPTED;
  }
}

/** As the daemon has it. */
async function openPipeline(
  transport: Transport,
  ...[endpoints, observer]: Parameters<DemoParts["openPipeline"]>
): Promise<DemoPipeline> {
  const store = await createStore({ transport, endpoints, observers: [observer] });
  await store.initKVEventSync();
  const indexer = store.getSyncPrefixIndexer();
  if (indexer === undefined)
    throw new KVEventSyncError("closed", "demo: the store closed while it started; run it again");
  return { directory: store, indexer, [Symbol.asyncDispose]: () => store.close() };
}

/** What `--json` prints. */
function resultOf({ summary, verdict }: DemoOutcome): object {
  return { ...summary, ok: verdict.isGood, verdict: verdict.text };
}

/** Where the demo shows itself. */
interface Display {
  frame(frame: DemoFrame): void;
  lines(lines: readonly Line[]): void;
  /** `null`: it did not come to an end. */
  end(outcome: DemoOutcome | null): void;
}

function displayOn(stream: NodeJS.WriteStream, engines: number): Display {
  const height = renderFrame({ seconds: 0, totalSeconds: 1, phase: "", pods: [], happenings: [] }).length + engines;
  const isLive = stream.isTTY && process.env["TERM"] !== "dumb" && stream.rows > height;
  return isLive ? new Live(stream) : new Lines(stream);
}

/** One line after the other, for pipes and files. */
class Lines implements Display {
  readonly #stream: NodeJS.WriteStream;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  frame(_frame: DemoFrame): void {}

  lines(lines: readonly Line[]): void {
    write(this.#stream, lines);
  }

  end(outcome: DemoOutcome | null): void {
    if (outcome !== null) write(this.#stream, [[], ...renderTable(outcome.rows), ...conclusionOf(outcome)]);
  }
}

/** A view that is drawn over itself. */
class Live implements Display {
  readonly #stream: NodeJS.WriteStream;
  readonly #screen: Screen;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.#screen = new Screen((text) => stream.write(text));
  }

  frame(frame: DemoFrame): void {
    // A line that the terminal wraps could not be drawn over.
    this.#screen.draw(renderFrame(frame), { columns: this.#stream.columns, colours: hasColours(this.#stream) });
  }

  /** They are in the next frame. */
  lines(_lines: readonly Line[]): void {}

  end(outcome: DemoOutcome | null): void {
    this.#screen.end();
    if (outcome !== null) write(this.#stream, conclusionOf(outcome));
  }
}

/** What is printed below the table. */
function conclusionOf({ route, cachedTokens, answers, differences, verdict }: DemoOutcome): readonly Line[] {
  const shown = differences
    .slice(0, MAX_DIFFERENCES)
    .map((difference): Line => [{ text: describeDifference(difference) }]);
  return [
    [],
    ...renderRoute(route, cachedTokens),
    [],
    ...renderGateway(answers),
    [],
    [{ text: "The index is compared with each engine's own pool, block by block, both ways.", style: "bold" }],
    ...shown,
    [{ text: verdict.text, style: verdict.isGood ? "green" : "red" }],
  ];
}

function write(stream: NodeJS.WriteStream, lines: readonly Line[]): void {
  const paper = { columns: Number.POSITIVE_INFINITY, colours: hasColours(stream) };
  stream.write(lines.map((line) => `${printLine(line, paper)}\n`).join(""));
}

function hasColours({ isTTY }: NodeJS.WriteStream): boolean {
  return isTTY === true && (process.env["NO_COLOR"] ?? "") === "" && process.env["TERM"] !== "dumb";
}
