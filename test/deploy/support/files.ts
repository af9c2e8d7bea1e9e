import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Gives the path of a file with that text, which is gone afterwards. */
export function withFile<T>(name: string, text: string, use: (path: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "deploy-"));
  try {
    const path = join(folder, name);
    writeFileSync(path, text);
    return use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
