import { decodeEventBatch } from "./decode.ts";
import { FastDecoder } from "./fast-decoder.ts";
import { type PackedBatch, packEvent } from "./packed-batch.ts";

const fast = new FastDecoder();

/**
 * Reads what one message carries into the batch, as `decodeEventBatch` does, and throws what it throws. What engines send
 * nearly always is read without garbage; the rest by that.
 */
export function decodePackedBatch(payload: Uint8Array, batch: PackedBatch): void {
  batch.clear();
  if (fast.decode(payload, batch)) return;
  batch.clear();
  const { batch: decoded, errors } = decodeEventBatch(payload);
  batch.ts = decoded.ts;
  batch.dataParallelRank = decoded.dataParallelRank;
  for (const event of decoded.events) packEvent(batch, event);
  batch.errors = [...errors];
}
