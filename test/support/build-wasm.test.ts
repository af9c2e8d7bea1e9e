import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { test } from "node:test";
import { WASM_FILES, wasmCode } from "./build-wasm.ts";

for (const file of WASM_FILES) {
  test(`${basename(file.target)} is made of its source as it stands`, async () => {
    assert.equal(readFileSync(file.target, "utf8"), await wasmCode(file), "run npm run build:wasm");
  });
}
