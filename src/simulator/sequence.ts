/** Bytes of a sequence number on the wire, big-endian. */
export const SEQUENCE_BYTES = 8;

/** Stands where a replay has no more batches: all bits set, −1 to a reader of signed numbers. */
export const END_OF_REPLAY = -1;

/** A sequence number as it stands in a message. */
export function encodeSequence(sequence: number): Uint8Array {
  const bytes = new Uint8Array(SEQUENCE_BYTES);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(sequence));
  return bytes;
}
