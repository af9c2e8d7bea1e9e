import { BatchBuffer, type WaitingBatch } from "./batch-buffer.ts";
import { fingerprint, RecentFingerprints } from "./fingerprint.ts";
import { type ReplayEnd, ReplayProgress, type ReplayPurpose, type ReplayRequest } from "./replay-progress.ts";
import type { PurgeReason, StreamStatus } from "./status.ts";
import type { StreamMark } from "./stream-state.ts";

/** What the sequencer decides, in order. Called synchronously; must not call back. */
export interface SequencerSink {
  /** The next batch in sequence; `isLive` where it came so, and not by a replay. */
  apply(sequence: number, payload: Uint8Array, isLive: boolean): void;
  /** Forget all that was applied. */
  purge(reason: PurgeReason): void;
  /** A replay showed that the engine is the one whose batches were applied, though the connection is another one. */
  verified(): void;
  restarted(): void;
  missed(batches: number): void;
  duplicate(): void;
  /** Live batches were dropped, to be replayed, since too many waited. */
  overflowed(): void;
}

export interface SequencerOptions {
  /** Whether there is a replay endpoint. */
  readonly canReplay: boolean;
  /** Bytes of live batches that may wait for a replay, and as many of replayed ones that wait for a hole to be filled. */
  readonly maxHeldBytes: number;
  /** What was applied before this process, or by a peer; as after a lost connection, a replay has to prove it. */
  readonly mark?: StreamMark;
}

/** Each makes the engine send its whole buffer; the second, in case that the first replies of the first were lost. */
const MAX_VAIN_REBUILDS = 2;

/** Batches whose content is remembered, to tell a duplicate from a restart. */
const REMEMBERED_BATCHES = 1_024;

/**
 * Puts the batches of one engine in order: from the live stream, which loses some, and from replays, which lose some as
 * well, over connections behind which the engine may have been replaced by another one. Pure: no socket, no clock.
 *
 * What it applies, from the last purge on, is a run of one process's batches without a hole. It starts at sequence 0
 * where that can be had, and is `partial` otherwise. A lost batch that cannot be had again costs all that came before:
 * it may have removed any of it.
 *
 * A batch is trusted to come from the process that is known by its place behind one that is known, on the same
 * connection; and after a new connection by a replay that repeats the last batch known, bit for bit.
 */
export class Sequencer {
  readonly #sink: SequencerSink;
  readonly #canReplay: boolean;
  readonly #replay = new ReplayProgress();
  readonly #prints = new RecentFingerprints(REMEMBERED_BATCHES);
  /** Live batches that came too early. */
  readonly #held: BatchBuffer;
  /** Replayed batches that came too early. */
  readonly #pending: BatchBuffer;
  #connectionId: number | null = null;
  #isConnected = false;
  /** First and last sequence applied since the last purge. A first one of 0 without a last: the engine has said nothing yet. */
  #first: number | null = null;
  #last: number | null = null;
  /** Highest live sequence on this connection, and before it the last one applied. */
  #highest: number | null = null;
  /** Whether the process behind this connection is the one whose batches were applied. */
  #isTrusted = false;
  /** The endpoint did not answer, or answered for another process: no batch waits for it until it has. */
  #isReplayDead = false;
  /** Rebuilds that the endpoint could not help with: it reaches no further back than what is known. */
  #vainRebuilds = 0;
  #revision = 0;
  #hasMore = false;

  constructor(sink: SequencerSink, options: SequencerOptions) {
    this.#sink = sink;
    this.#canReplay = options.canReplay;
    this.#held = new BatchBuffer(options.maxHeldBytes);
    this.#pending = new BatchBuffer(options.maxHeldBytes);
    const { mark } = options;
    if (mark === undefined) return;
    this.#first = mark.firstSequence;
    this.#last = mark.lastSequence;
    this.#prints.add(mark.lastSequence, mark.fingerprint);
  }

  get status(): StreamStatus {
    if (!this.#isConnected) return "connecting";
    if (this.#replay.isCatchingUp) return "catching-up";
    return this.#first === 0 ? "live" : "partial";
  }

  get firstSequence(): number | null {
    return this.#last === null ? null : this.#first;
  }

  get lastSequence(): number | null {
    return this.#last;
  }

  /** What another sequencer can go on from; `null` where nothing is known. */
  get mark(): StreamMark | null {
    if (this.#first === null || this.#last === null) return null;
    return { firstSequence: this.#first, lastSequence: this.#last, fingerprint: this.#prints.get(this.#last)! };
  }

  /** Another number after each batch that was applied, and each purge. */
  get revision(): number {
    return this.#revision;
  }

  /** The replay that should be running; whoever runs them looks after each call. */
  get request(): ReplayRequest | null {
    return this.#replay.request;
  }

  /** What to ask that replay for first, as of now: the last batch known, so that the reply proves whose it is. */
  get replayFrom(): number {
    return this.request?.purpose === "rebuild" ? 0 : (this.#last ?? 0);
  }

  /** Whether the replay that ended last did what it was wanted for. */
  get wasReplayComplete(): boolean {
    return this.#replay.wasComplete;
  }

  /** Whether a replay from the start could complete the picture. */
  get wantsRebuild(): boolean {
    if (!this.#canReplay || !this.#isConnected || this.request !== null || this.#first === 0) return false;
    return this.#vainRebuilds < MAX_VAIN_REBUILDS;
  }

  /** Bytes that wait. */
  get heldBytes(): number {
    return this.#held.bytes + this.#pending.bytes;
  }

  /** Batches that wait. */
  get heldBatches(): number {
    return this.#held.size + this.#pending.size;
  }

  /** The subscriber's connection is ready. Its number is higher than those of earlier ones. */
  connected(connectionId: number): void {
    this.#connectionId = connectionId;
    this.#isConnected = true;
    this.#held.clear();
    this.#pending.clear();
    this.#isReplayDead = false;
    this.#isTrusted = false;
    this.#vainRebuilds = 0;
    this.#highest = this.#last;
    if (this.#canReplay) {
      this.#ask(this.#last === null ? "start" : "verify");
      return;
    }
    if (this.#last !== null) this.#forget("unverified");
    this.#isTrusted = true;
  }

  /** The connection is lost; what is known stays until there is another one. */
  disconnected(): void {
    this.#isConnected = false;
    this.#replay.finish(false);
  }

  /** A batch of the live stream. What a lost connection left behind is ignored: a replay brings it. */
  live(connectionId: number, sequence: number, payload: Uint8Array): void {
    if (connectionId !== this.#connectionId) {
      if (this.#connectionId !== null && connectionId < this.#connectionId) return;
      this.connected(connectionId);
    }
    if (!this.#isConnected) return;
    if (this.#last === null) this.#liveFirst(sequence, payload);
    else if (sequence <= this.#last) this.#liveAgain(sequence, payload);
    else if (!this.#isTrusted) this.#hold(sequence, payload);
    else if (sequence === this.#last + 1) {
      this.#note(sequence);
      this.#replay.hasMetLive = true;
      this.#apply(sequence, payload, fingerprint(payload), true);
      this.#drain();
    } else this.#liveGap(sequence, payload);
  }

  /** A batch of the replay with this id. */
  replayed(id: number, sequence: number, payload: Uint8Array): void {
    const replay = this.#replay;
    if (!replay.isRunning(id)) return;
    const isFirst = !replay.isAnswered;
    replay.isAnswered = true;
    this.#isReplayDead = false;
    if (this.request?.purpose === "rebuild" && !this.#beginRebuild(sequence)) return;
    const print = fingerprint(payload);
    const known = this.#prints.get(sequence);
    if (known !== undefined) {
      if (known === print) this.#identified();
      else this.#contradicted();
    } else if (this.#last === null || (replay.isIdentified && sequence === this.#last + 1)) {
      this.#isTrusted = true;
      replay.isIdentified = true;
      replay.advance();
      this.#apply(sequence, payload, print, false);
      this.goOn();
    } else if (sequence > this.#last) {
      if (this.#pending.hasRoom(payload.length)) this.#pending.add(sequence, payload);
      // Twice in a row the endpoint began too late: it does not have the batch any more.
      if (isFirst && !replay.isIdentified && replay.wasUnidentified) this.#giveUp();
    }
  }

  /** Whether more of what waits can be applied: whoever replays calls `goOn` until not, before the next answer. */
  get hasMore(): boolean {
    return this.#hasMore;
  }

  /** Applies one more of what waits: a piece of its own, for thousands may have waited. */
  goOn(): void {
    this.#drain(1);
  }

  /** The replay with this id is over. */
  ended(id: number, end: ReplayEnd): void {
    const replay = this.#replay;
    if (!replay.isRunning(id)) return;
    if (end === "unanswered") {
      this.#isReplayDead = true;
      this.#giveUp();
      return;
    }
    if (end === "marker" && !replay.isAnswered && this.#endedEmpty()) return;
    const isComplete = replay.isIdentified && !this.#isMissingAny;
    // Without a marker, a reply that brings nothing new says the same.
    if (isComplete && (end === "marker" || !replay.hasAdvanced)) this.#finish(true);
    else if (!replay.askAgain()) this.#giveUp();
  }

  /** The stream has been quiet: asks whether something was lost at its end. */
  check(): void {
    if (this.#canReplay && this.#isConnected && this.request === null) this.#ask("check");
  }

  /** Asks for the whole picture, if `wantsRebuild`. */
  rebuild(): void {
    if (this.wantsRebuild) this.#ask("rebuild");
  }

  /** Whether there are batches after the last one applied. */
  get #isMissingAny(): boolean {
    const isBehind = this.#highest !== null && (this.#last === null || this.#last < this.#highest);
    return isBehind || this.#pending.size > 0 || this.#held.size > 0;
  }

  /** A live batch while nothing is known. */
  #liveFirst(sequence: number, payload: Uint8Array): void {
    if (sequence === 0) {
      // Whatever waits is of an earlier process.
      this.#held.clear();
      this.#replay.hasMetLive = true;
      this.#begin(sequence, payload);
    } else if (this.#replay.isCatchingUp) {
      this.#hold(sequence, payload);
    } else if (this.#first === 0) {
      // The engine had said nothing when we asked.
      this.#liveGap(sequence, payload);
    } else if (this.#canReplay && !this.#isReplayDead) {
      this.#hold(sequence, payload);
      this.#ask("start");
    } else {
      this.#begin(sequence, payload);
    }
  }

  /** A live batch that ought to be known. A publisher never repeats itself, but the way from it may. */
  #liveAgain(sequence: number, payload: Uint8Array): void {
    if (this.#prints.get(sequence) === fingerprint(payload)) {
      this.#sink.duplicate();
      return;
    }
    this.#sink.restarted();
    this.#held.clear();
    this.#forget("restart");
    this.#finish(false);
    this.#highest = null;
    this.#isTrusted = true;
    this.#liveFirst(sequence, payload);
  }

  #liveGap(sequence: number, payload: Uint8Array): void {
    if (this.#canReplay && !this.#isReplayDead) {
      this.#hold(sequence, payload);
      if (!this.#replay.isCatchingUp) this.#ask(this.#last === null ? "start" : "fill");
      return;
    }
    this.#note(sequence);
    if (this.#last !== null) this.#forget("gap");
    this.#begin(sequence, payload);
  }

  /** Applies a live batch as the first one. */
  #begin(sequence: number, payload: Uint8Array): void {
    this.#isTrusted = true;
    this.#highest = sequence;
    this.#apply(sequence, payload, fingerprint(payload), true);
    this.#drain();
  }

  #hold(sequence: number, payload: Uint8Array): void {
    this.#note(sequence);
    if (!this.#held.hasRoom(payload.length)) {
      this.#sink.overflowed();
      // The oldest go: they are the ones that a replay has.
      while (this.#held.size > 0 && !this.#held.hasRoom(payload.length)) this.#held.shift();
    }
    const outcome = this.#held.add(sequence, payload);
    if (outcome === "known") this.#sink.duplicate();
    if (outcome !== "conflict") return;
    // Another process took over behind the same connection.
    this.#held.clear();
    this.#held.add(sequence, payload);
  }

  /** Counts what is missing before a live batch. Before the first one of all, nothing is. */
  #note(sequence: number): void {
    if (this.#highest !== null && this.#isTrusted && sequence > this.#highest + 1) {
      this.#sink.missed(sequence - this.#highest - 1);
    }
    if (this.#highest === null || sequence > this.#highest) this.#highest = sequence;
  }

  #apply(sequence: number, payload: Uint8Array, print: number, isLive: boolean): void {
    if (this.#last === null) this.#first = sequence;
    this.#last = sequence;
    this.#prints.add(sequence, print);
    this.#revision++;
    this.#sink.apply(sequence, payload, isLive);
  }

  #applyWaiting({ sequence, payload, print }: WaitingBatch, isLive: boolean): void {
    this.#replay.advance();
    this.#apply(sequence, payload, print, isLive);
  }

  /** Applies what waits and is next, or so much of it; ends a replay that has nothing more to bring. */
  #drain(most = Number.POSITIVE_INFINITY): void {
    const replay = this.#replay;
    this.#hasMore = false;
    for (let taken = 0; this.#last !== null; taken++) {
      const next = this.#last + 1;
      const replayed = this.#pending.first;
      const live = this.#isTrusted ? this.#held.first : undefined;
      this.#hasMore = taken === most && (replayed !== undefined || live !== undefined);
      if (this.#hasMore) return;
      if (replayed !== undefined && replayed.sequence < next) this.#pending.shift();
      else if (live !== undefined && live.sequence < next) {
        this.#held.shift();
        if (!this.#meets(live)) return;
      } else if (replayed?.sequence === next && replay.isIdentified) {
        this.#pending.shift();
        this.#applyWaiting(replayed, false);
      } else if (live?.sequence === next) {
        this.#held.shift();
        replay.hasMetLive = true;
        this.#applyWaiting(live, true);
      } else break;
    }
    if (replay.isCatchingUp && replay.hasMetLive && !this.#isMissingAny) this.#finish(true);
  }

  /** Whether a live batch that a replay has brought already is the same one. If not, the replay is another process's. */
  #meets(live: WaitingBatch): boolean {
    this.#replay.hasMetLive = true;
    const known = this.#prints.get(live.sequence);
    if (known === undefined || known === live.print) return true;
    this.#isReplayDead = true;
    this.#forget("restart");
    this.#finish(false);
    this.#begin(live.sequence, live.payload);
    return false;
  }

  /** The replay repeated a batch that is known. */
  #identified(): void {
    this.#replay.isIdentified = true;
    this.#replay.wasUnidentified = false;
    const first = this.#held.first;
    if (!this.#isTrusted && first !== undefined && this.#last !== null && first.sequence > this.#last + 1) {
      this.#sink.missed(first.sequence - this.#last - 1);
    }
    if (!this.#isTrusted) this.#sink.verified();
    this.#isTrusted = true;
    this.goOn();
  }

  /** The replay has something else where a batch is known. */
  #contradicted(): void {
    if (!this.#isTrusted) {
      this.#replaced();
      return;
    }
    // The connection on which the known batch came still stands: what the endpoint says is not of this engine.
    this.#isReplayDead = true;
    this.#pending.clear();
    this.#giveUp();
  }

  /** A new connection, and another process behind it. */
  #replaced(): void {
    this.#sink.restarted();
    this.#forget("restart");
    this.#highest = null;
    // To tell this was what the replay was wanted for.
    this.#finish(true);
    this.#ask("start");
  }

  /** A replay of nothing. Whether that settles the matter. */
  #endedEmpty(): boolean {
    const purpose = this.request?.purpose;
    if (purpose === "verify" && !this.#isTrusted) {
      // The batch that was asked for would be there, were it the same process.
      this.#replaced();
      return true;
    }
    if (this.#last === null && this.#held.size === 0) {
      // The engine has said nothing yet.
      this.#first = 0;
      this.#isTrusted = true;
      this.#finish(true);
      return true;
    }
    if (purpose !== "rebuild") return false;
    this.#vainRebuilds++;
    this.#finish(false);
    return true;
  }

  /** Whether the replay reaches further back than what is known; if so, the picture is made anew from it. */
  #beginRebuild(sequence: number): boolean {
    if (this.#first !== null && sequence >= this.#first) {
      this.#vainRebuilds++;
      this.#finish(true);
      return false;
    }
    if (this.#last !== null) this.#forget("rebuild");
    this.#replay.turnInto("start");
    return true;
  }

  /** What is missing cannot be had: begins anew with what there is after it. */
  #giveUp(): void {
    const { isCatchingUp } = this.#replay;
    this.#replay.finish(false);
    // A check that brought later batches has shown that some are missing, though nothing came live to tell so.
    if (!isCatchingUp && this.#pending.size === 0) return;
    if (this.#last !== null) this.#forget(this.#isTrusted ? "gap" : "unverified");
    this.#isTrusted = true;
    this.#first = null;
    this.#replay.isIdentified = true;
    for (let waiting = this.#nextWaiting(); waiting !== null; waiting = this.#nextWaiting()) {
      if (this.#last !== null) this.#forget("gap");
      this.#applyWaiting(waiting.shift()!, waiting === this.#held);
      this.#drain();
      if (!this.#isReplayDead) break;
      // Without an endpoint that answers, every hole costs all that comes before it.
    }
    if (!this.#isMissingAny) return;
    if (this.#last !== null && !this.#isReplayDead) {
      this.#ask("fill");
      return;
    }
    this.#highest = null;
    if (this.#last !== null) this.#forget("gap");
  }

  /** Where the next of all that waits is; `null` where nothing does. */
  #nextWaiting(): BatchBuffer | null {
    if (this.heldBatches === 0) return null;
    const live = this.#held.first?.sequence ?? Number.POSITIVE_INFINITY;
    const replayed = this.#pending.first?.sequence ?? Number.POSITIVE_INFINITY;
    return live < replayed ? this.#held : this.#pending;
  }

  /** What waits stays. */
  #forget(reason: PurgeReason): void {
    this.#first = null;
    this.#last = null;
    this.#vainRebuilds = 0;
    this.#prints.clear();
    this.#revision++;
    this.#sink.purge(reason);
  }

  #ask(purpose: ReplayPurpose): void {
    // What an earlier replay left may be of another process.
    if (purpose !== "fill") this.#pending.clear();
    this.#replay.ask(purpose);
  }

  #finish(isComplete: boolean): void {
    this.#pending.clear();
    this.#replay.finish(isComplete);
  }
}
