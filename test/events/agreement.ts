import assert from "node:assert/strict";
import { DecodeError } from "../../src/errors.ts";
import { decodeEventBatch } from "../../src/events/decode.ts";
import { decodePackedBatch } from "../../src/events/decode-packed.ts";
import type { EventBatch } from "../../src/events/event.ts";
import { PackedBatch, unpackEvent } from "../../src/events/packed-batch.ts";
import { simdTokens } from "../../src/events/simd-tokens.ts";

/** What a decoder says of the bytes, as a text. */
function said(decode: () => { readonly batch: EventBatch; readonly errors: readonly DecodeError[] }): string {
  const text = (value: unknown): string =>
    JSON.stringify(value, (_, each) => {
      if (typeof each === "bigint") return `${each}n`;
      if (each instanceof Uint8Array || each instanceof Uint32Array) return [...each];
      return Object.is(each, -0) ? "-0" : typeof each === "number" && !Number.isFinite(each) ? String(each) : each;
    });
  try {
    const { batch, errors } = decode();
    return `${text(batch)} ${errors.map(({ code, message }) => `${code} ${message}`).join("; ")}`;
  } catch (error) {
    assert.ok(error instanceof DecodeError, String(error));
    return `${error.code} ${error.message}`;
  }
}

const plain = new PackedBatch();
const simd = new PackedBatch();
/** Of the second, WebAssembly reads the tokens where there is any. */
const batches = [plain, simd];
const simdOrNull = simdTokens();
if (simdOrNull !== null) {
  assert.ok(simdOrNull.isFree);
  simdOrNull.isFree = false;
  simd.keepTokensIn(simdOrNull.tokens);
}

function packed(payload: Uint8Array, batch: PackedBatch): string {
  return said(() => {
    decodePackedBatch(payload, batch);
    const events = Array.from({ length: batch.eventCount }, (_, i) => unpackEvent(batch, i));
    return { batch: { ts: batch.ts, events, dataParallelRank: batch.dataParallelRank }, errors: batch.errors };
  });
}

/** All decoders say the same of these bytes. */
export function checkSame(payload: Uint8Array): void {
  const oracle = said(() => decodeEventBatch(payload));
  for (const batch of batches) assert.equal(packed(payload, batch), oracle);
}

/** The bytes in the midst of others, as they come from a socket. */
export function inTheMidst(payload: Uint8Array, before: Uint8Array, after: Uint8Array): Uint8Array {
  const all = Buffer.concat([before, payload, after]);
  const copy = new Uint8Array(all.length);
  copy.set(all);
  return copy.subarray(before.length, before.length + payload.length);
}
