// `npm run build:wasm`: makes `src/indexer/simd-hash-code.ts` of `simd-hash.wat`. A test sees that it was done.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import wabt from "wabt";

const source = fileURLToPath(new URL("../../src/indexer/simd-hash.wat", import.meta.url));
const target = fileURLToPath(new URL("../../src/indexer/simd-hash-code.ts", import.meta.url));

/** The file's content. */
export async function simdHashCode(): Promise<string> {
  const { parseWat } = await wabt();
  const module = parseWat(source, readFileSync(source, "utf8"));
  const code = Buffer.from(module.toBinary({}).buffer).toString("base64");
  module.destroy();
  const lines = code.match(/.{1,100}/g)!.map((line, at, { length }) => `  "${line}"${at < length - 1 ? " +" : ";"}`);
  return `// Made of simd-hash.wat by \`npm run build:wasm\`.\nexport const SIMD_HASH_CODE: string =\n${lines.join("\n")}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(target, await simdHashCode());
