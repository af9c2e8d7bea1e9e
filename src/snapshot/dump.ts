import type { PrefixIndexer } from "../indexer/indexer.ts";
import type { StreamState } from "../sync/stream-state.ts";
import { DumpWriter, encodeStream } from "./writer.ts";

/** Whoever has streams; `KVEventManager` does. */
export interface StreamCaptures {
  /** One stream after the other, each while nothing of it changes. */
  capture<T>(read: (state: StreamState) => Generator<void, T>): AsyncIterable<T>;
}

/**
 * The lines of a dump, each stream with its watermark as of the moment at which it is read. One stream waits for the
 * reader in memory, no more, and none is held up by a slow one.
 */
export async function* dumpLines(
  streams: StreamCaptures,
  indexer: PrefixIndexer,
  writer: DumpWriter = new DumpWriter(),
): AsyncGenerator<string, void> {
  yield writer.header(indexer);
  for await (const encoded of streams.capture((state) => encodeStream(indexer, state))) {
    if (encoded !== null) yield* writer.stream(encoded);
  }
  yield writer.end();
}
