import assert from "node:assert/strict";
import { DecodeError } from "../../src/errors.ts";
import { decodeEventBatch } from "../../src/events/decode.ts";
import { decodePackedBatch } from "../../src/events/decode-packed.ts";
import type { EventBatch } from "../../src/events/event.ts";
import { PackedBatch, unpackEvent } from "../../src/events/packed-batch.ts";

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

const reused = new PackedBatch();

function packed(payload: Uint8Array): string {
  return said(() => {
    decodePackedBatch(payload, reused);
    const events = Array.from({ length: reused.eventCount }, (_, i) => unpackEvent(reused, i));
    return { batch: { ts: reused.ts, events, dataParallelRank: reused.dataParallelRank }, errors: reused.errors };
  });
}

/** Both decoders say the same of these bytes. */
export function checkSame(payload: Uint8Array): void {
  assert.equal(
    packed(payload),
    said(() => decodeEventBatch(payload)),
  );
}

/** The bytes in the midst of others, as they come from a socket. */
export function inTheMidst(payload: Uint8Array, before: Uint8Array, after: Uint8Array): Uint8Array {
  const all = Buffer.concat([before, payload, after]);
  const copy = new Uint8Array(all.length);
  copy.set(all);
  return copy.subarray(before.length, before.length + payload.length);
}
