import { unlink, writeFile } from "node:fs/promises";
import { Command } from "commander";
import { generateCurveKeys } from "../container.ts";
import { ConfigurationError } from "../errors.ts";

interface Flags {
  readonly out?: string;
  readonly json?: boolean;
}

/** `kv-event-sync keygen`: a key pair for CURVE, the encryption of ZeroMQ. */
export function keygenCommand(): Command {
  return new Command("keygen")
    .description("Makes a key pair for CURVE, each half as 40 characters of Z85.")
    .option("--out <file>", "write the secret key there and the public key to <file>.pub, for the owner's eyes only")
    .option("--json", "print JSON")
    .action(keygen);
}

async function keygen({ out, json = false }: Flags): Promise<void> {
  const keys = generateCurveKeys();
  if (out === undefined) {
    process.stdout.write(json ? line(keys) : `public key: ${keys.publicKey}\nsecret key: ${keys.secretKey}\n`);
    return;
  }
  const publicKeyFile = `${out}.pub`;
  await writeNew(publicKeyFile, keys.publicKey);
  try {
    await writeNew(out, keys.secretKey);
  } catch (error) {
    await unlink(publicKeyFile);
    throw error;
  }
  const { publicKey } = keys;
  process.stdout.write(
    json
      ? line({ publicKey, publicKeyFile, secretKeyFile: out })
      : `public key: ${publicKey}\nwritten to ${publicKeyFile}, the secret key to ${out}\n`,
  );
}

/** Never over a key that is there, which may be the only one: whoever means it removes it first. */
async function writeNew(file: string, key: string): Promise<void> {
  try {
    await writeFile(file, `${key}\n`, { flag: "wx", mode: 0o600 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const remedy = code === "EEXIST" ? "it is there already; remove it, or choose another" : "choose another place";
    throw new ConfigurationError("invalid-option", `--out ${file}: cannot write it (${code}): ${remedy}`, { cause });
  }
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`;
}
