import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Gives the path of an empty folder, which is gone afterwards. */
export function withFolder<T>(use: (path: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "deploy-"));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Gives the path of a file with that text, which is gone afterwards. */
export function withFile<T>(name: string, text: string, use: (path: string) => T): T {
  return withFolder((folder) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return use(path);
  });
}
