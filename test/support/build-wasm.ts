// `npm run build:wasm`: makes of each `.wat` file the TypeScript file beside it. A test sees that it was done.
import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import wabt from "wabt";

/** A `.wat` file and what is made of it. */
export interface WasmFile {
  readonly source: string;
  readonly target: string;
}

export const WASM_FILES: readonly WasmFile[] = [
  "events/simd-tokens",
  "indexer/simd-hash",
  "indexer/simd-slots",
  "indexer/wasm-records",
].map((name) => {
  const path = fileURLToPath(new URL(`../../src/${name}`, import.meta.url));
  return { source: `${path}.wat`, target: `${path}-code.ts` };
});

/** What belongs into the target. */
export async function wasmCode({ source }: WasmFile): Promise<string> {
  const { parseWat } = await wabt();
  const module = parseWat(source, readFileSync(source, "utf8"), { threads: true });
  const code = Buffer.from(module.toBinary({}).buffer).toString("base64");
  module.destroy();
  const lines = code.match(/.{1,100}/g)!.map((line, at, { length }) => `  "${line}"${at < length - 1 ? " +" : ";"}`);
  const name = basename(source, ".wat");
  const constant = `${name.toUpperCase().replaceAll("-", "_")}_CODE`;
  return `// Made of ${name}.wat by \`npm run build:wasm\`.\nexport const ${constant}: string =\n${lines.join("\n")}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const file of WASM_FILES) writeFileSync(file.target, await wasmCode(file));
}
