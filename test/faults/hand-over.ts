import type { Clock } from "../../src/clock.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { dumpLines } from "../../src/snapshot/dump.ts";
import { restoreDump } from "../../src/snapshot/restore.ts";
import { KVEventManager } from "../../src/sync/manager.ts";
import type { Transport } from "../../src/transport.ts";

/** What follows the engines: a daemon without its API. */
export interface Follower {
  readonly manager: KVEventManager;
  readonly indexer: SyncPrefixHashTable;
}

export interface FollowerParts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly seed: bigint;
}

/** One that knows nothing. */
export function follower({ transport, clock, seed }: FollowerParts): Follower {
  const indexer = new SyncPrefixHashTable({ clock, seed });
  return { indexer, manager: new KVEventManager({ transport, indexer, clock }) };
}

/** All that it knows at this moment. */
export async function dumpOf({ manager, indexer }: Follower): Promise<string> {
  const lines: string[] = [];
  for await (const line of dumpLines(manager, indexer)) lines.push(line);
  return lines.join("");
}

/** One that goes on from a dump. */
export async function followerFrom(dump: string, parts: FollowerParts): Promise<Follower> {
  const made = follower(parts);
  async function* bytes(): AsyncGenerator<Uint8Array, void> {
    yield Buffer.from(dump);
  }
  const { streams } = await restoreDump(bytes(), made.indexer, parts.clock);
  made.manager.restore(streams);
  await made.manager.start();
  return made;
}
