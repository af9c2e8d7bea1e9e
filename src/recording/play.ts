import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import type { Pod } from "../discovery/discovery.ts";
import type { PrefixIndexer } from "../indexer/indexer.ts";
import { KVEventManager } from "../sync/manager.ts";
import type { StreamOptions } from "../sync/options.ts";
import type { SyncObserver } from "../sync/status.ts";
import type { Recorded } from "./format.ts";
import { PlayingClock } from "./playing-clock.ts";
import { PlayingTransport } from "./playing-transport.ts";
import type { PodChange } from "./recorder.ts";

/**
 * Turns of the event loop that a record waits for what came before it: streams share the time of a turn, and on a busy
 * machine need several where one was enough. Where other options ask for less than was asked then, nobody ever comes.
 */
const MOST_TURNS = 200;

/** How a recording is played. */
export interface PlayOptions {
  /** Times as fast as it was; `Infinity`: as fast as it goes. */
  readonly speed: number;
  readonly indexer: PrefixIndexer;
  readonly observers?: readonly SyncObserver[];
  readonly streams?: StreamOptions;
  /** The whole index stays as it is at the end of the recording until this is disposed. */
  readonly signal?: AbortSignal;
}

/** What playing came to. The manager still has its streams; disposing ends them. */
export interface Played extends AsyncDisposable {
  readonly manager: KVEventManager;
  readonly records: number;
  /** Messages that no stream asked for this time. */
  readonly unclaimed: number;
}

/**
 * Lets a recording happen again: the same manager, streams and index, on a transport and a clock that are the
 * recording's. What comes out is what came out then, as long as the options are the same.
 */
export async function playRecording(records: AsyncIterable<Recorded>, options: PlayOptions): Promise<Played> {
  const { speed, indexer, observers = [], streams = {}, signal } = options;
  const clock = new PlayingClock();
  const transport = new PlayingTransport();
  const manager = new KVEventManager({ transport, indexer, observers, clock, options: streams });
  await manager.start();
  let startMs: number | null = null;
  let count = 0;
  for await (const recorded of records) {
    if (signal?.aborted === true) break;
    startMs ??= recorded.timeMs;
    // Clocks of a machine can be set back.
    const atMs = Math.max(clock.now(), recorded.timeMs - startMs);
    if (Number.isFinite(speed)) await pause((atMs - clock.now()) / speed);
    while (clock.ring(atMs)) await turn();
    for (let turns = 0; turns < MOST_TURNS && transport.isBehind(recorded); turns++) await turn();
    tell(manager, recorded);
    transport.play(recorded);
    count++;
    await turn();
  }
  for (let turns = 0; turns < MOST_TURNS && transport.hasUnread; turns++) await turn();
  return {
    manager,
    records: count,
    unclaimed: transport.unclaimed,
    [Symbol.asyncDispose]: () => manager.stop(),
  };
}

function tell(manager: KVEventManager, { kind, json }: Recorded): void {
  if (kind !== "pod") return;
  const { change, pod } = json as PodChange & { readonly pod: Pod };
  if (change === "add") manager.onPodAdd(pod);
  else manager.onPodDelete(pod);
}
