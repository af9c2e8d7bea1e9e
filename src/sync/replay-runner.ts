import type { Clock } from "../clock.ts";
import type { Transport } from "../transport.ts";
import type { Gate } from "./gate.ts";
import type { ResolvedStreamOptions } from "./options.ts";
import { Replay } from "./replay.ts";
import type { ReplayLine } from "./replay-line.ts";
import type { ReplayEnd } from "./replay-progress.ts";
import type { Sequencer } from "./sequencer.ts";
import type { StreamCounters } from "./stream-counters.ts";
import type { TurnQueue } from "./turn-queue.ts";

interface RunnerParts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly gate: Gate;
  readonly turns: TurnQueue;
  readonly line: ReplayLine;
  readonly options: ResolvedStreamOptions;
}

/** A replay that waits in the line, or runs. */
interface Wanted {
  /** Of the sequencer's request. */
  readonly id: number;
  /** `null` until it was asked for. */
  replay: Replay | null;
  startedMs: number;
}

/**
 * Runs the replay that the sequencer wants, and none else; reminds it of the two that nothing but time calls for: the
 * check of a stream that has become quiet, and the rebuild of a partial one.
 */
export class ReplayRunner {
  readonly #endpoint: string;
  readonly #sequencer: Sequencer;
  readonly #counters: StreamCounters;
  readonly #parts: RunnerParts;
  readonly #onChange: () => void;
  readonly #closing = new Set<Promise<void>>();
  #wanted: Wanted | null = null;
  #isClosed = false;
  /** Of the last batch, or check. */
  #stirredMs = 0;
  /** Quiet before the next check: grows from check to check, and begins anew with the next batch. */
  #quietMs: number;
  #checkTimer: unknown;
  #rebuildTimer: unknown;
  #retryMs: number;

  /** `onChange` is called after the sequencer was given something. */
  constructor(
    endpoint: string,
    sequencer: Sequencer,
    counters: StreamCounters,
    parts: RunnerParts,
    onChange: () => void,
  ) {
    this.#endpoint = endpoint;
    this.#sequencer = sequencer;
    this.#counters = counters;
    this.#parts = parts;
    this.#onChange = onChange;
    this.#retryMs = parts.options.replayRetryMinMs;
    this.#quietMs = parts.options.quietCheckMs;
  }

  /** Something came live. */
  stirred(): void {
    const { clock, options } = this.#parts;
    this.#stirredMs = clock.now();
    if (this.#quietMs === options.quietCheckMs) return;
    this.#quietMs = options.quietCheckMs;
    clock.clearTimeout(this.#checkTimer);
    this.#checkTimer = undefined;
  }

  /** Brings what runs in line with what the sequencer wants. */
  settle(): void {
    if (this.#isClosed) return;
    const { request } = this.#sequencer;
    if (this.#wanted !== null && this.#wanted.id !== request?.id) this.#over(this.#wanted);
    if (request !== null && this.#wanted === null) this.#enter(request.id);
    this.#remindOfCheck();
    this.#remindOfRebuild();
  }

  /** Ends what runs; resolves when all sockets are closed. */
  async close(): Promise<void> {
    const { clock, line } = this.#parts;
    this.#isClosed = true;
    clock.clearTimeout(this.#checkTimer);
    clock.clearTimeout(this.#rebuildTimer);
    if (this.#wanted !== null) {
      line.leave(this.#wanted);
      this.#dispose(this.#wanted.replay);
    }
    this.#wanted = null;
    await Promise.all(this.#closing);
  }

  #enter(id: number): void {
    const wanted = { id, replay: null, startedMs: 0 };
    this.#wanted = wanted;
    this.#parts.line.enter(wanted, () => this.#ask(wanted));
  }

  #ask(wanted: Wanted): void {
    const { id } = wanted;
    const { transport, clock, gate, turns, line, options } = this.#parts;
    // As of now: while it waited, the stream may have gone on.
    const from = this.#sequencer.replayFrom;
    this.#counters.replayRequested(from);
    wanted.startedMs = clock.now();
    try {
      wanted.replay = new Replay({
        transport,
        clock,
        gate,
        turns,
        endpoint: this.#endpoint,
        from,
        timeoutMs: options.replayTimeoutMs,
        idleMs: options.replayIdleMs,
        onAnswered: () => line.answered(wanted),
        onBatch: (sequence, payload) => {
          this.#sequencer.replayed(id, sequence, payload);
          if (this.#sequencer.request?.id !== id) this.#onChange();
        },
        hasMore: () => this.#sequencer.hasMore,
        goOn: () => {
          this.#sequencer.goOn();
          if (this.#sequencer.request?.id !== id) this.#onChange();
        },
        onEnd: (end) => this.#ended(id, end),
        onError: (error) => this.#counters.failed("framing", error),
      });
    } catch (error) {
      // An endpoint that cannot be used is one that does not answer.
      this.#counters.replayEnded(false, 0);
      this.#counters.failed("transport", error instanceof Error ? error : new Error(String(error)));
      this.#ended(id, "unanswered");
    }
  }

  #ended(id: number, end: ReplayEnd): void {
    this.#sequencer.ended(id, end);
    this.#onChange();
  }

  /** The sequencer wants this replay no more: it has brought all, or not. */
  #over(wanted: Wanted): void {
    const { replay, startedMs } = wanted;
    this.#wanted = null;
    this.#parts.line.leave(wanted);
    if (replay === null) return;
    this.#dispose(replay);
    const succeeded = this.#sequencer.wasReplayComplete;
    this.#counters.replayEnded(succeeded, (this.#parts.clock.now() - startedMs) / 1_000);
    if (succeeded) this.#retryMs = this.#parts.options.replayRetryMinMs;
  }

  #dispose(replay: Replay | null): void {
    if (replay === null) return;
    const closed = replay.close().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }

  #remindOfCheck(): void {
    const { clock, options } = this.#parts;
    const { quietCheckMs, quietCheckMaxMs } = options;
    const isIdle = this.#sequencer.request === null && this.#sequencer.status !== "connecting";
    if (quietCheckMs === 0 || !isIdle || this.#checkTimer !== undefined) return;
    const look = (): void => {
      this.#checkTimer = undefined;
      const leftMs = this.#stirredMs + this.#quietMs - clock.now();
      if (leftMs > 0) {
        this.#checkTimer = clock.setTimeout(look, leftMs);
        return;
      }
      this.#stirredMs = clock.now();
      this.#quietMs = Math.min(this.#quietMs * 2, quietCheckMaxMs);
      this.#sequencer.check();
      this.#onChange();
    };
    this.#checkTimer = clock.setTimeout(look, this.#quietMs);
  }

  #remindOfRebuild(): void {
    const { clock, options } = this.#parts;
    if (!this.#sequencer.wantsRebuild || this.#rebuildTimer !== undefined) return;
    this.#rebuildTimer = clock.setTimeout(() => {
      this.#rebuildTimer = undefined;
      this.#retryMs = Math.min(this.#retryMs * 2, options.replayRetryMaxMs);
      this.#sequencer.rebuild();
      this.#onChange();
    }, this.#retryMs);
  }
}
