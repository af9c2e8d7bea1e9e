import { createReadStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Who reads a snapshot knows the seed of the hashes. */
const OWNER_ONLY = 0o600;

const PIECE_BYTES = 262_144;

/**
 * Replaces a file as a whole, or not at all: what is written lies beside it, in `<path>.tmp`, until it is on the disk.
 * Resolves to its bytes; rejects with the system's error.
 */
export async function writeSnapshot(path: string, lines: AsyncIterable<string>): Promise<number> {
  const temporary = `${path}.tmp`;
  // What a crash left there may belong to somebody else.
  await rm(temporary, { force: true });
  try {
    const bytes = await writeThrough(temporary, lines);
    await rename(temporary, path);
    await syncFolder(dirname(path));
    return bytes;
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** What is in a snapshot. Throws the system's error: `ENOENT` where there is none. */
export function readSnapshot(path: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
  return createReadStream(path, { highWaterMark: PIECE_BYTES, signal });
}

async function writeThrough(path: string, lines: AsyncIterable<string>): Promise<number> {
  const file = await open(path, "wx", OWNER_ONLY);
  try {
    for await (const line of lines) await file.appendFile(line);
    await file.sync();
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}

/** So that a power failure does not undo the renaming; where a system cannot, either file is a whole one. */
async function syncFolder(path: string): Promise<void> {
  try {
    await using folder = await open(path, "r");
    await folder.sync();
  } catch {}
}
