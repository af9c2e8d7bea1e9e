import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../clock.ts";
import type { StaticEndpoint } from "../discovery/static.ts";
import type { PrefixIndexer } from "../indexer/indexer.ts";
import type { PodDirectory, SyncObserver } from "../sync/status.ts";
import type { Transport } from "../transport.ts";
import { comparePool, type Difference } from "./compare.ts";
import { type GatewayAnswer, sendTwice } from "./gateway.ts";
import { laggingStreams } from "./quiet.ts";
import { type Route, routePrompt } from "./route.ts";
import { type Act, writeScript } from "./script.ts";
import { BLOCK_SIZE, MODEL, nextPrompt, openStage, type Stage, sourceOf } from "./stage.ts";
import { Story } from "./story.ts";
import { type DemoSummary, type Verdict, verdictOf } from "./verdict.ts";
import { DEED, type DemoFrame, type Happening, type PodRow } from "./view.ts";

/** The part that is demonstrated: what a daemon runs. */
export interface DemoPipeline extends AsyncDisposable {
  readonly directory: PodDirectory;
  readonly indexer: PrefixIndexer;
}

export interface DemoParts {
  /** Of the engines. */
  readonly transport: Transport;
  readonly openPipeline: (endpoints: readonly StaticEndpoint[], observer: SyncObserver) => Promise<DemoPipeline>;
  readonly clock: Clock;
  /** Called some times a second. */
  readonly onFrame: (frame: DemoFrame) => void;
  readonly onHappening: (happening: Happening) => void;
  /** Ends the demo early; it then rejects with an AbortError, everything closed. */
  readonly signal: AbortSignal;
}

export interface DemoOptions {
  /** From 1. */
  readonly engines: number;
  /** How long conversations run. */
  readonly seconds: number;
  /** For streams to come where their engines are. Default 6,000: it takes milliseconds, after a cut a second or two. */
  readonly quietDeadlineMs?: number;
}

export interface DemoOutcome {
  readonly summary: DemoSummary;
  readonly verdict: Verdict;
  readonly route: Route;
  /** That the chosen engine found when it was given the prompt; `null`: nobody was chosen. */
  readonly cachedTokens: number | null;
  /** Of the gateway, to the same prompt sent twice. */
  readonly answers: readonly GatewayAnswer[];
  readonly differences: readonly Difference[];
  readonly rows: readonly PodRow[];
}

/** Served before the daemon comes: their events can be had by replay alone. */
const EARLY_REQUESTS = 60;
const REQUESTS_PER_SECOND = 30;
const TICK_MS = 20;
const FRAME_MS = 200;
/** What the user says in the prompt that is routed. */
const NEW_TOKENS = 40;

/**
 * Runs engines and the pipeline beside each other, with a restart and a cut; when all is quiet, routes a prompt and
 * compares the index with the engines' pools.
 */
export async function runDemo(options: DemoOptions, parts: DemoParts): Promise<DemoOutcome> {
  await using stage = await openStage(parts.transport, options.engines);
  const demo = new Demo(options, parts, stage);
  demo.serveEarly();
  await using pipeline = await parts.openPipeline(stage.endpoints, demo.story);
  return await demo.run(pipeline);
}

class Demo {
  readonly story: Story;
  readonly #options: DemoOptions;
  readonly #parts: DemoParts;
  readonly #stage: Stage;
  readonly #startMs: number;
  readonly #happenings: Happening[] = [];
  readonly #problems: string[] = [];
  #lastFrameMs = Number.NEGATIVE_INFINITY;

  constructor(options: DemoOptions, parts: DemoParts, stage: Stage) {
    this.#options = options;
    this.#parts = parts;
    this.#stage = stage;
    this.#startMs = parts.clock.now();
    this.story = new Story(
      (happening) => {
        this.#happenings.push(happening);
        parts.onHappening(happening);
      },
      () => this.#seconds(),
    );
  }

  serveEarly(): void {
    for (let request = 0; request < EARLY_REQUESTS; request++) this.#stage.simulation.step();
    this.story.say("engines", `${EARLY_REQUESTS} requests served before anybody listens`);
  }

  async run(pipeline: DemoPipeline): Promise<DemoOutcome> {
    await this.#untilQuiet(pipeline, "the past comes by replay");
    await this.#perform(pipeline);
    await this.#untilQuiet(pipeline, "until all streams are quiet");
    const { route, cachedTokens } = this.#route(pipeline);
    await this.#untilQuiet(pipeline, "the routed prompt is served");
    const answers = await this.#askGateway(pipeline);
    await this.#untilQuiet(pipeline, "the gateway's prompts are served");
    return this.#conclude(pipeline, { route, cachedTokens, answers });
  }

  /** Conversations, and what is done to the engines meanwhile. */
  async #perform(pipeline: DemoPipeline): Promise<void> {
    const { seconds, engines } = this.#options;
    const startMs = this.#parts.clock.now();
    const acts = [...writeScript(engines)];
    for (let sent = 0; ; ) {
      const elapsed = (this.#parts.clock.now() - startMs) / 1_000;
      while (acts.length > 0 && acts[0]!.share * seconds <= elapsed) await this.#act(acts.shift()!);
      if (elapsed >= seconds) return;
      for (; sent < elapsed * REQUESTS_PER_SECOND; sent++) this.#stage.simulation.step();
      this.#draw(pipeline, `${elapsed.toFixed(1)} s of ${seconds} s`, elapsed);
      await delay(TICK_MS, undefined, { signal: this.#parts.signal });
    }
  }

  async #act({ deed, engine }: Act): Promise<void> {
    const { relay } = this.#stage;
    const pod = this.#stage.engine(engine);
    if (deed === "stop") {
      this.story.say(pod.key, `${DEED}the engine's process dies, and its cache with it`);
      await pod.stop();
    } else if (deed === "start") {
      this.story.say(pod.key, `${DEED}the engine is back: same address, sequence from 0`);
      await pod.start();
    } else if (deed === "cut") {
      this.story.say(pod.key, `${DEED}the connection is cut, the engine goes on`);
      relay.cut();
    } else {
      this.story.say(pod.key, `${DEED}the connection is mended`);
      relay.mend();
    }
  }

  /** Waits for each stream to be live and where its engine is. One that does not come there is a problem of the demo. */
  async #untilQuiet(pipeline: DemoPipeline, phase: string): Promise<void> {
    const { clock, signal } = this.#parts;
    const { quietDeadlineMs = 6_000 } = this.#options;
    const deadlineMs = clock.now() + quietDeadlineMs;
    for (;;) {
      const lagging = laggingStreams(this.#stage.published(), pipeline.directory.pods());
      if (lagging.length === 0) return;
      if (clock.now() >= deadlineMs) {
        this.#problems.push(...lagging.map((stream) => `after ${quietDeadlineMs} ms ${stream}`));
        return;
      }
      this.#draw(pipeline, phase, this.#seconds());
      await delay(TICK_MS, undefined, { signal });
    }
  }

  /** Sends the prompt to the pod that the index names, and looks whether that engine has what was promised. */
  #route({ indexer }: DemoPipeline): { readonly route: Route; readonly cachedTokens: number | null } {
    const { pods } = this.#stage.simulation;
    const tokens = nextPrompt(
      pods.map((pod) => pod.pool()),
      NEW_TOKENS,
    );
    const keys = pods.map(({ key }) => key);
    const route = routePrompt(indexer, MODEL, tokens, BLOCK_SIZE, keys);
    const { winner } = route;
    if (winner === null) {
      this.#problems.push("nobody was found to hold a prompt that an engine has served");
      return { route, cachedTokens: null };
    }
    const { cachedTokens } = pods.find(({ key }) => key === winner.pod)!.request({ tokens });
    if (cachedTokens !== winner.matchedTokens) {
      this.#problems.push(`${winner.pod} found ${cachedTokens} tokens cached, the index said ${winner.matchedTokens}`);
    }
    return { route, cachedTokens };
  }

  /** Sends the same prompt through a gateway twice: the second time a pod has it. */
  async #askGateway(pipeline: DemoPipeline): Promise<readonly GatewayAnswer[]> {
    const { clock, signal } = this.#parts;
    const { pods } = this.#stage.simulation;
    const parts = { ...pipeline, pods, model: MODEL, blockSize: BLOCK_SIZE, clock, signal };
    const answers = await sendTwice(parts, () => this.#untilQuiet(pipeline, "the first answer's events come"));
    const [first, second] = answers;
    if (second.pod !== first.pod || second.cachedTokens === 0) {
      this.#problems.push(`${second.pod} answered what ${first.pod} has, with ${second.cachedTokens} tokens cached`);
    } else if (second.ttftMs >= first.ttftMs) {
      this.#problems.push(
        `the second answer took ${second.ttftMs.toFixed()} ms, the first ${first.ttftMs.toFixed()} ms`,
      );
    }
    return answers;
  }

  #conclude(
    pipeline: DemoPipeline,
    { route, cachedTokens, answers }: Pick<DemoOutcome, "route" | "cachedTokens" | "answers">,
  ): DemoOutcome {
    const { simulation } = this.#stage;
    const { directory, indexer } = pipeline;
    const comparisons = simulation.pods.map((pod) => comparePool(indexer, sourceOf(pod), pod.pool()));
    const differences = comparisons.flatMap((comparison) => comparison.differences);
    const streams = directory.pods().flatMap((pod) => pod.streams);
    const sum = (read: (stream: (typeof streams)[number]) => number): number =>
      streams.reduce((total, stream) => total + read(stream), 0);
    const summary: DemoSummary = {
      engines: simulation.pods.length,
      events: sum((stream) => stream.events),
      blocks: comparisons.reduce((total, { blocks }) => total + blocks, 0),
      restarts: sum((stream) => stream.restarts),
      replays: sum((stream) => stream.replaySuccesses),
      divergence: differences.length,
      missed: sum((stream) => stream.missedBatches),
      requests: simulation.counters.requests - simulation.counters.refusedRequests,
      routedTo: route.winner?.pod ?? null,
      seconds: Math.round(this.#seconds() * 10) / 10,
    };
    const restarts = simulation.pods.reduce((total, pod) => total + pod.restartCount, 0);
    const rows = this.#stage.rows(directory, indexer, this.#parts.clock.now());
    this.#draw(pipeline, "done", Number.POSITIVE_INFINITY, true);
    const verdict = verdictOf(summary, { restarts }, this.#problems);
    return { summary, verdict, route, cachedTokens, answers, differences, rows };
  }

  #draw({ directory, indexer }: DemoPipeline, phase: string, seconds: number, isLast = false): void {
    const nowMs = this.#parts.clock.now();
    if (!isLast && nowMs - this.#lastFrameMs < FRAME_MS) return;
    this.#lastFrameMs = nowMs;
    this.#parts.onFrame({
      seconds,
      totalSeconds: this.#options.seconds,
      phase,
      pods: this.#stage.rows(directory, indexer, nowMs),
      happenings: this.#happenings,
    });
  }

  #seconds(): number {
    return (this.#parts.clock.now() - this.#startMs) / 1_000;
  }
}
