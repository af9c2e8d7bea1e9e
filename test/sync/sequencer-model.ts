import { Sequencer } from "../../src/sync/sequencer.ts";
import type { PurgeReason } from "../../src/sync/status.ts";
import type { StreamMark } from "../../src/sync/stream-state.ts";

/** What happens to an engine, its connections and its replays. Numbers choose among what is there. */
export type Action =
  | { readonly do: "publish"; readonly batches: number }
  | { readonly do: "deliver"; readonly batches: number }
  | { readonly do: "lose" }
  | { readonly do: "lose-all" }
  | { readonly do: "duplicate" }
  | { readonly do: "restart" }
  | { readonly do: "restart-unnoticed" }
  | { readonly do: "cut" }
  | { readonly do: "save" }
  | { readonly do: "hand-over"; readonly from: "now" | "saved" }
  | { readonly do: "connect" }
  | { readonly do: "reply"; readonly batches: number }
  | { readonly do: "lose-reply" }
  | { readonly do: "end-replay" }
  | { readonly do: "check" }
  | { readonly do: "rebuild" };

interface Batch {
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** A sequencer's mark, and the batches that led to it. */
interface Saved {
  readonly mark: StreamMark | null;
  readonly applied: readonly Batch[];
}

interface RunningReplay {
  readonly id: number;
  readonly from: number;
  replies: Batch[] | null;
  process: number;
  isAnswered: boolean;
}

/**
 * One engine as the network shows it: processes that follow each other, each with its own batches, of which the last
 * `bufferSteps` can be replayed; a live connection that loses and repeats; replays that lose. Beside it the sequencer
 * under test, and what it applied.
 */
export class SequencerModel {
  sequencer: Sequencer;
  readonly purges: PurgeReason[] = [];
  /** What the index would be made of: sequences and payloads since the last purge. */
  applied: Batch[] = [];
  /** Whether what was applied may be shown: not after a sequencer was replaced, until the new one knows better. */
  isShown = true;
  missed = 0;
  restarts = 0;
  duplicates = 0;
  overflows = 0;
  #process = 0;
  #batches: Batch[] = [];
  readonly #bufferSteps: number;
  readonly #canReplay: boolean;
  readonly #maxHeldBytes: number;
  #connectionId = 0;
  #isConnected = false;
  /** The process behind the connection is gone, and the subscriber has not noticed. */
  #isStale = false;
  /** Sent over the connection and not yet received. */
  #underWay: Batch[] = [];
  /** Received over connections that are lost, and still to be read. */
  #leftOver: (Batch & { readonly connectionId: number })[] = [];
  lostReplies = 0;
  #replay: RunningReplay | null = null;
  #saved: Saved = { mark: null, applied: [] };

  constructor(options: { readonly canReplay: boolean; readonly bufferSteps: number; readonly maxHeldBytes?: number }) {
    this.#bufferSteps = options.bufferSteps;
    this.#canReplay = options.canReplay;
    this.#maxHeldBytes = options.maxHeldBytes ?? 1_000_000;
    this.sequencer = this.#newSequencer();
  }

  #newSequencer(mark: StreamMark | null = null): Sequencer {
    return new Sequencer(
      {
        apply: (sequence, payload) => this.applied.push({ sequence, payload }),
        purge: (reason) => {
          this.applied = [];
          this.isShown = true;
          this.purges.push(reason);
        },
        verified: () => {
          this.isShown = true;
        },
        restarted: () => this.restarts++,
        missed: (batches) => {
          this.missed += batches;
        },
        duplicate: () => this.duplicates++,
        overflowed: () => this.overflows++,
      },
      { canReplay: this.#canReplay, maxHeldBytes: this.#maxHeldBytes, ...(mark !== null && { mark }) },
    );
  }

  /** All that the process of this moment has published. */
  get published(): readonly Batch[] {
    return this.#batches;
  }

  get bufferStart(): number {
    return Math.max(0, this.#batches.length - this.#bufferSteps);
  }

  step(action: Action): void {
    switch (action.do) {
      case "publish":
        for (let i = 0; i < action.batches; i++) this.#publish();
        break;
      case "deliver":
        for (let i = 0; i < action.batches; i++) this.#deliver();
        break;
      case "lose":
        this.#underWay.shift();
        break;
      case "lose-all":
        this.#underWay = [];
        break;
      case "duplicate":
        if (this.#underWay[0] !== undefined) this.#underWay.unshift(this.#underWay[0]);
        break;
      case "restart":
        this.#restart();
        break;
      case "restart-unnoticed":
        this.#isStale = this.#isConnected;
        this.#replace();
        break;
      case "cut":
        this.#cut();
        break;
      case "save":
        this.#saved = { mark: this.sequencer.mark, applied: [...this.applied] };
        break;
      case "hand-over":
        if (action.from === "now") this.#saved = { mark: this.sequencer.mark, applied: this.applied };
        this.#handOver(this.#saved);
        break;
      case "connect":
        this.connect();
        break;
      case "reply":
        for (let i = 0; i < action.batches; i++) this.#reply();
        break;
      case "lose-reply":
        if (this.#serve()?.replies?.shift() !== undefined) this.lostReplies++;
        break;
      case "end-replay":
        this.#endReplay();
        break;
      case "check":
        this.sequencer.check();
        break;
      case "rebuild":
        this.sequencer.rebuild();
        break;
    }
  }

  connect(): void {
    if (this.#isStale) this.#cut();
    if (this.#isConnected) return;
    this.#isConnected = true;
    this.#connectionId++;
    this.#underWay = [];
    this.sequencer.connected(this.#connectionId);
  }

  /** Ends all faults, and lets everything that was begun come to its end. */
  calm(): void {
    this.connect();
    for (let round = 0; round < 60; round++) {
      while (this.#underWay.length + this.#leftOver.length > 0) this.#deliver();
      if (this.#serve() !== null) {
        const isLeft = (): boolean => this.sequencer.hasMore || (this.#replay?.replies?.length ?? 0) > 0;
        while (isLeft() && this.#isReplayWanted()) this.#reply();
        this.#end("marker");
      } else if (round % 3 === 0) this.sequencer.rebuild();
      else this.sequencer.check();
    }
  }

  #publish(): void {
    const sequence = this.#batches.length;
    const payload = new Uint8Array(24);
    new DataView(payload.buffer).setUint32(0, this.#process);
    new DataView(payload.buffer).setUint32(4, sequence);
    this.#batches.push({ sequence, payload });
    if (this.#isConnected && !this.#isStale) this.#underWay.push({ sequence, payload });
  }

  #deliver(): void {
    const old = this.#leftOver.shift();
    if (old !== undefined) {
      this.sequencer.live(old.connectionId, old.sequence, old.payload);
      return;
    }
    const batch = this.#underWay.shift();
    if (batch !== undefined) this.sequencer.live(this.#connectionId, batch.sequence, batch.payload);
  }

  #restart(): void {
    this.#cut();
    this.#replace();
  }

  #replace(): void {
    this.#process++;
    this.#batches = [];
  }

  #cut(): void {
    if (!this.#isConnected) return;
    this.#isConnected = false;
    this.#isStale = false;
    for (const batch of this.#underWay) this.#leftOver.push({ ...batch, connectionId: this.#connectionId });
    this.#underWay = [];
    this.sequencer.disconnected();
  }

  /** Another sequencer goes on from what this one knew. */
  #handOver({ mark, applied }: Saved): void {
    this.#cut();
    this.#leftOver = [];
    this.#replay = null;
    this.sequencer = this.#newSequencer(mark);
    this.applied = [...applied];
    this.isShown = mark === null;
  }

  #isReplayWanted(): boolean {
    return this.#replay !== null && this.sequencer.request?.id === this.#replay.id;
  }

  /** The replay that the sequencer wants, with what the engine answers from the moment at which it is first asked. */
  #serve(): RunningReplay | null {
    const { request } = this.sequencer;
    if (request === null || !this.#canReplay) {
      this.#replay = null;
      return null;
    }
    if (this.#replay?.id !== request.id) {
      this.#replay = {
        id: request.id,
        from: this.sequencer.replayFrom,
        replies: null,
        process: this.#process,
        isAnswered: false,
      };
    }
    const replay = this.#replay;
    if (replay.replies === null) {
      replay.process = this.#process;
      replay.replies = this.#batches.slice(Math.max(replay.from, this.bufferStart));
    }
    return replay;
  }

  /** The next answer is read when all that waited for the one before was applied. */
  #reply(): void {
    if (this.sequencer.hasMore) {
      this.sequencer.goOn();
      return;
    }
    const replay = this.#serve();
    const batch = replay?.replies?.shift();
    if (replay === null || batch === undefined) return;
    replay.isAnswered = true;
    this.sequencer.replayed(replay.id, batch.sequence, batch.payload);
  }

  /** A replay that is over says so only when all was sent and the process still stands. */
  #endReplay(): void {
    const replay = this.#serve();
    if (replay === null) return;
    while (replay.replies?.length === 0 && this.sequencer.hasMore) this.sequencer.goOn();
    if (replay.replies?.length === 0 && replay.process === this.#process) this.#end("marker");
    else this.#end(replay.isAnswered ? "silence" : "unanswered");
  }

  #end(end: "marker" | "silence" | "unanswered"): void {
    const replay = this.#replay;
    this.#replay = null;
    if (replay !== null) this.sequencer.ended(replay.id, end);
  }
}
