import { Registry } from "prom-client";
import type { Pod } from "../../src/discovery/discovery.ts";
import { RegisteredPods } from "../../src/discovery/registered.ts";
import type { BlockStored } from "../../src/events/event.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { createServer, type HttpServer, type ServerParts } from "../../src/server/server.ts";
import type { PodInfo, StreamInfo } from "../../src/sync/status.ts";

/** What an engine stores, from the start of a prompt. */
export function stored(
  hashes: readonly bigint[],
  tokens: readonly number[],
  more: Partial<BlockStored> = {},
): BlockStored {
  return {
    type: "BlockStored",
    blockHashes: hashes,
    parentBlockHash: null,
    tokenIds: Uint32Array.from(tokens),
    blockSize: 2,
    loraId: null,
    loraName: null,
    medium: null,
    extraKeys: null,
    groupIdx: null,
    kvCacheSpecKind: null,
    kvCacheSpecSlidingWindow: null,
    cacheSalt: null,
    ...more,
  };
}

export function streamInfo(changes: Partial<StreamInfo> = {}): StreamInfo {
  return {
    pod: "a",
    model: "m",
    rank: 0,
    endpoint: "tcp://a:5557",
    status: "live",
    connection: { status: "ready", connectionId: 1 },
    firstSequence: 0,
    lastSequence: 7,
    idleMs: 12.4,
    batches: 8,
    events: 9,
    missedBatches: 0,
    duplicateBatches: 0,
    decodeErrors: 0,
    replays: 1,
    replaySuccesses: 1,
    replayFailures: 0,
    restarts: 0,
    purges: 0,
    heldBatches: 0,
    heldBytes: 0,
    ...changes,
  };
}

export function podInfo(key: string, pod: Partial<Pod> = {}, streams: readonly Partial<StreamInfo>[] = [{}]): PodInfo {
  const infos = streams.map((changes) => streamInfo({ pod: key, ...changes }));
  const ranks = infos.map(({ rank, endpoint }) => ({ rank, endpoint }));
  const full = { key, modelName: "m", loraId: -1, routingGroup: "default", topic: "", ranks, ...pod };
  return { pod: full, streams: infos };
}

export interface ServerBench extends AsyncDisposable {
  readonly url: string;
  readonly server: HttpServer;
  /** What it is made of. */
  readonly parts: ServerParts;
  readonly indexer: SyncPrefixHashTable;
  readonly pods: PodInfo[];
  readonly errors: Error[];
  /** Sends JSON. */
  post(path: string, body: unknown): Promise<Answer>;
  /** Sends this text as it is. */
  send(path: string, init: RequestInit): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: an answer is whatever the server sends; tests look into it
  readonly body: any;
  readonly headers: Headers;
}

/** A server that listens. */
export async function serverBench(parts: Partial<ServerParts> = {}): Promise<ServerBench> {
  const indexer = new SyncPrefixHashTable();
  const pods: PodInfo[] = [];
  const errors: Error[] = [];
  const all: ServerParts = {
    directory: { pods: () => pods },
    indexer,
    registered: new RegisteredPods(),
    registry: new Registry(),
    isReady: () => true,
    onError: (error) => errors.push(error),
    ...parts,
  };
  const server = createServer(all);
  const { url } = await server.listen({ host: "127.0.0.1", port: 0 });
  const send = async (path: string, init: RequestInit): Promise<Answer> => {
    const response = await fetch(url + path, init);
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json");
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
  };
  return {
    url,
    server,
    parts: all,
    indexer,
    pods,
    errors,
    send,
    post: (path, body) =>
      send(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    [Symbol.asyncDispose]: () => server.close(),
  };
}
