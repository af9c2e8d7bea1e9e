import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, posix } from "node:path";
import { test } from "node:test";
import { PeerProcess } from "../interop/support/peer-process.ts";
import { root } from "../support/tools.ts";
import { copyOf, parseDockerfile, type Stage } from "./support/dockerfile.ts";

const [build, image, ...others] = parseDockerfile(readFileSync(join(root, "deploy/Dockerfile"), "utf8"));
assert.ok(build !== undefined && image !== undefined && others.length === 0);

const instructions = (stage: Stage, name: string) => stage.instructions.filter((each) => each.name === name);
const copies = (stage: Stage) => instructions(stage, "COPY").map(copyOf);
const workdir = (stage: Stage): string => instructions(stage, "WORKDIR")[0]!.text;

test("container: the last stage is a slim Node of a version that the package allows", () => {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const least = Number(/\d+/.exec(engines.node)![0]);
  for (const { base } of [build, image]) {
    const [, major] = /^node:(\d+)-bookworm-slim$/.exec(base) ?? assert.fail(base);
    assert.ok(Number(major) > least && Number(major) % 2 === 0, base);
  }
});

test("container: it runs as a number that is not root, without a shell", () => {
  const [user] = instructions(image, "USER");
  const [, uid] = /^(\d+):\d+$/.exec(user!.text) ?? assert.fail(user!.text);
  assert.ok(Number(uid) > 0);
  assert.ok(instructions(image, "ENTRYPOINT")[0]?.words);
  assert.ok(instructions(image, "CMD")[0]?.words);
  // The kubelet asks; a health check in the image would be a second one.
  assert.deepEqual(instructions(image, "HEALTHCHECK"), []);
});

test("container: the build gets what it copies and nothing else", () => {
  const [all, ...allowed] = readFileSync(join(root, ".dockerignore"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  assert.equal(all, "*");
  const sources = copies(build).flatMap((copy) => copy.sources.map((source) => source.replace(/\/$/, "")));
  assert.deepEqual(allowed.map((line) => line.replace("!", "")).sort(), [...sources].sort());
  for (const source of sources) assert.ok(existsSync(join(root, source)), source);
});

/** Carries out the first stage's steps below `home`, and copies from it what the last stage does. */
function carryOut(home: string): void {
  const at = (path: string, stage: Stage): string => join(home, posix.resolve(workdir(stage), path));
  mkdirSync(at(".", build!), { recursive: true });
  for (const instruction of build!.instructions) {
    if (instruction.name === "COPY") {
      const { sources, target } = copyOf(instruction);
      for (const source of sources) {
        const to = target.endsWith("/") && !source.endsWith("/") ? join(target, basename(source)) : target;
        cpSync(join(root, source), at(to, build!), { recursive: true });
      }
    } else if (instruction.name === "RUN") {
      const env = { ...process.env, npm_config_audit: "false", npm_config_fund: "false" };
      execFileSync("sh", ["-ec", instruction.text], {
        cwd: at(".", build!),
        env,
        stdio: ["ignore", "ignore", "inherit"],
      });
    }
  }
  mkdirSync(at(".", image!), { recursive: true });
  for (const { from, sources, target } of copies(image!)) {
    assert.equal(from, build!.name);
    for (const source of sources) {
      const to = target.endsWith("/") && !source.endsWith("/") ? join(target, basename(source)) : target;
      cpSync(join(home, source), at(to, image!), { recursive: true, verbatimSymlinks: true });
    }
  }
}

/** What forbids a process of Node to open anything for writing, whatever its version calls that. */
function withoutWriting(): readonly string[] {
  const names = process.allowedNodeEnvironmentFlags;
  const permission = names.has("--permission") ? "--permission" : "--experimental-permission";
  return [permission, "--allow-fs-read=*", ...(names.has("--allow-net") ? ["--allow-net"] : [])];
}

test("container: its steps give a daemon that runs as that user and writes nothing", {
  timeout: 240_000,
}, async (t) => {
  const home = mkdtempSync(join(tmpdir(), "container-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  carryOut(home);
  const app = join(home, workdir(image));
  const packages = readdirSync(join(app, "node_modules"));
  assert.ok(packages.includes("hono") && !packages.includes("typescript") && !packages.includes("zeromq"));
  chmodSync(home, 0o755);
  const [uid, gid] = instructions(image, "USER")[0]!.text.split(":").map(Number);
  const [node, script] = instructions(image, "ENTRYPOINT")[0]!.words!;
  assert.equal(node, "node");
  const args = [join(home, script!), ...instructions(image, "CMD")[0]!.words!, "--port", "0"];
  // Only root may become another.
  const identity = process.getuid?.() === 0 ? { uid: uid!, gid: gid! } : {};
  const options = { ...identity, cwd: app, env: { PATH: process.env["PATH"], NODE_ENV: "production" } };
  await using daemon = new PeerProcess("daemon", process.execPath, [...withoutWriting(), ...args], options);
  const [, port] = await daemon.logged(/"msg":"listening on http:\/\/0\.0\.0\.0:(\d+)"/);
  assert.equal((await fetch(`http://127.0.0.1:${port}/livez`)).status, 200);
  assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200);
  assert.equal(await daemon.end("SIGTERM"), 0);
});
