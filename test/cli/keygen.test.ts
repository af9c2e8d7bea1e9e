import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { keygenCommand } from "../../src/cli/keygen.ts";
import { ConfigurationError } from "../../src/errors.ts";
import { keyPairOf } from "../../transports/zmtp/curve/keys.ts";
import { decodeZ85, encodeZ85 } from "../../transports/zmtp/z85.ts";

const Z85_KEY = /^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{40}$/;

/** Runs the command; resolves to what it printed. The runner of tests reports over the same stream, in bytes. */
async function keygen(t: TestContext, ...args: readonly string[]): Promise<string> {
  const { stdout } = process;
  const write = stdout.write.bind(stdout);
  let printed = "";
  const { mock } = t.mock.method(stdout, "write", (chunk: string | Uint8Array) => {
    if (typeof chunk !== "string") return write(chunk);
    printed += chunk;
    return true;
  });
  try {
    await keygenCommand().parseAsync(args, { from: "user" });
    return printed;
  } finally {
    mock.restore();
  }
}

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "keygen-"));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

function assertPair(publicKey: string, secretKey: string): void {
  assert.match(publicKey, Z85_KEY);
  assert.match(secretKey, Z85_KEY);
  assert.equal(encodeZ85(keyPairOf(decodeZ85(secretKey)!).publicKey), publicKey);
}

test("keygen prints both halves of a pair, and another pair the next time", async (t) => {
  const printed = await keygen(t);
  const [, publicKey, secretKey] = /^public key: (.*)\nsecret key: (.*)\n$/.exec(printed)!;
  assertPair(publicKey!, secretKey!);
  assert.notEqual(await keygen(t), printed);
});

test("keygen --json prints them as JSON", async (t) => {
  const printed = JSON.parse(await keygen(t, "--json"));
  assert.deepEqual(Object.keys(printed).sort(), ["publicKey", "secretKey"]);
  assertPair(printed.publicKey, printed.secretKey);
});

test("keygen --out writes a file for each half that only its owner may read, and does not print the secret one", async (t) => {
  const file = join(await folder(t), "engine.key");
  const printed = await keygen(t, "--out", file);
  const [publicKey, secretKey] = await Promise.all([`${file}.pub`, file].map((each) => readFile(each, "utf8")));
  assertPair(publicKey!.replace(/\n$/, ""), secretKey!.replace(/\n$/, ""));
  for (const each of [file, `${file}.pub`]) assert.equal((await stat(each)).mode & 0o777, 0o600);
  assert.ok(printed.includes(publicKey!.trim()));
  assert.ok(!printed.includes(secretKey!.trim()));
});

test("keygen --out --json prints where the files are, and the public key", async (t) => {
  const file = join(await folder(t), "key");
  const printed = JSON.parse(await keygen(t, "--out", file, "--json"));
  const publicKey = (await readFile(`${file}.pub`, "utf8")).trim();
  assert.deepEqual(printed, { publicKey, publicKeyFile: `${file}.pub`, secretKeyFile: file });
});

for (const existing of ["key", "key.pub"]) {
  test(`keygen --out writes nothing where ${existing} is there already`, async (t) => {
    const path = await folder(t);
    await writeFile(join(path, existing), "precious");
    await assert.rejects(keygen(t, "--out", join(path, "key")), (error) => {
      assert.ok(error instanceof ConfigurationError);
      assert.match(error.message, /^--out .*key(\.pub)?: cannot write it \(EEXIST\): it is there already; remove it/);
      return true;
    });
    assert.deepEqual(await readdir(path), [existing]);
    assert.equal(await readFile(join(path, existing), "utf8"), "precious");
  });
}

test("keygen --out in a folder that is not there says so", async (t) => {
  const file = join(await folder(t), "missing", "key");
  await assert.rejects(keygen(t, "--out", file), /cannot write it \(ENOENT\): choose another place/);
});
