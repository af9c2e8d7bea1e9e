import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { createStore, type StoreOptions } from "../../src/container.ts";
import type { Pod } from "../../src/discovery/discovery.ts";
import { staticPods } from "../../src/discovery/static.ts";
import type { SimulatedPod } from "../../src/simulator/index.ts";
import type { SnapshotObserver } from "../../src/snapshot/observer.ts";
import type { Store } from "../../src/store.ts";
import type { PurgeReason, StreamInfo } from "../../src/sync/status.ts";
import type { Transport } from "../../src/transport.ts";
import { PipelineWatch } from "../support/pipeline.ts";

/** A folder that is gone after the test. */
export async function temporaryFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "kv-event-sync-"));
  context.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A store that runs, and what it told. */
export interface Daemon extends AsyncDisposable {
  readonly store: Store;
  readonly watch: PipelineWatch;
  /** `restored 2`, `refused corrupt-dump`, `written 2`, `write failed EACCES`. */
  readonly news: string[];
  readonly purges: readonly PurgeReason[];
  stream(key: string, rank?: number): StreamInfo;
  /** Resolves when the index has all that the pod has published. */
  caughtUp(pod: SimulatedPod): Promise<void>;
}

/** Starts a daemon that follows these pods; resolves when they are announced. */
export async function daemon(
  transport: Transport,
  pods: readonly Pod[],
  options: Partial<StoreOptions> = {},
): Promise<Daemon> {
  const watch = new PipelineWatch();
  const news: string[] = [];
  const tell = (text: string): void => {
    news.push(text);
    watch.onStatus();
  };
  const snapshotObserver: SnapshotObserver = {
    onRestored: (_origin, { streams }) => tell(`restored ${streams}`),
    onRefused: (_origin, error) => tell(`refused ${codeOf(error)}`),
    onWritten: (_path, { streams }) => tell(`written ${streams}`),
    onWriteFailed: (_path, error) => tell(`write failed ${codeOf(error)}`),
  };
  const store = await createStore({
    transport,
    discoveries: [staticPods(pods)],
    streams: { replayTimeoutMs: 2_000, replayIdleMs: 200, quietCheckMs: 20, replayRetryMinMs: 20 },
    observers: [watch],
    snapshotObserver,
    ...options,
  });
  await store.initKVEventSync();
  const stream = (key: string, rank = 0): StreamInfo => {
    const found = store
      .pods()
      .find(({ pod }) => pod.key === key)
      ?.streams.find((each) => each.rank === rank);
    if (found === undefined) throw new Error(`no stream for ${key} rank ${rank}`);
    return found;
  };
  const hasAll = (pod: SimulatedPod): boolean =>
    pod.ranks.every(({ rank }) => {
      const { status, lastSequence } = stream(pod.key, rank);
      return /live|partial/.test(status) && (lastSequence ?? -1) === pod.nextSequence(rank) - 1;
    });
  return {
    store,
    watch,
    news,
    purges: watch.purges,
    stream,
    caughtUp: (pod) => watch.until(() => hasAll(pod)),
    [Symbol.asyncDispose]: () => store.close(),
  };
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : error.message;
}
