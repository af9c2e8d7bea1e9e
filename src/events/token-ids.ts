import { KVEventSyncError } from "../errors.ts";

const BYTES_PER_TOKEN = 4;

/** Each id as 4 bytes, big-endian: AIBrix's `tokenIdsToBytes`. Ids are taken modulo 2^32. */
export function tokenIdsToBytes(tokenIds: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(tokenIds.length * BYTES_PER_TOKEN);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < tokenIds.length; index++) view.setUint32(index * BYTES_PER_TOKEN, tokenIds[index]!);
  return bytes;
}

/**
 * The inverse of `tokenIdsToBytes`.
 *
 * @throws KVEventSyncError `invalid-token-bytes` where the length is no multiple of 4.
 */
export function bytesToTokenIds(bytes: Uint8Array): Uint32Array {
  if (bytes.length % BYTES_PER_TOKEN !== 0) {
    throw new KVEventSyncError(
      "invalid-token-bytes",
      `token bytes: length ${bytes.length} is no multiple of ${BYTES_PER_TOKEN}; each id takes 4 bytes, big-endian`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: bytes.length / BYTES_PER_TOKEN }, (_, index) =>
    view.getUint32(index * BYTES_PER_TOKEN),
  );
}
