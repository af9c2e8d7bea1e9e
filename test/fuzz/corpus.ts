import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * Inputs that are worth to be tried again: `corpus/<target>.hex`, one in each line, in hexadecimal, spaces ignored; `#`
 * begins a comment. Empty for a target without a file.
 */
export function readCorpus(target: string): Buffer[] {
  const path = fileURLToPath(new URL(`corpus/${target}.hex`, import.meta.url));
  return existsSync(path) ? parseCorpus(readFileSync(path, "utf8")) : [];
}

/** Throws for a line that is not hexadecimal. */
export function parseCorpus(content: string): Buffer[] {
  const lines = content.split("\n").map((line) => line.replace(/#.*/, "").replaceAll(/\s/g, ""));
  return lines
    .filter((line) => line !== "")
    .map((line) => {
      if (!/^([0-9a-f]{2})+$/.test(line)) throw new Error(`corpus: "${line}" is not hexadecimal`);
      return Buffer.from(line, "hex");
    });
}
