// What a user gets: packs the package, checks the tarball, and installs it where nothing else is.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const home = mkdtempSync(join(tmpdir(), "kv-event-sync-package-"));

/** Runs a command to its end; what it prints is shown, or returned. Throws where it fails. */
function run(command, args, { cwd = root, isQuiet = false } = {}) {
  console.log(`$ ${command} ${args.join(" ")}`);
  return execFileSync(command, args, {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", isQuiet ? "pipe" : "inherit", "inherit"],
  });
}

function check(isTrue, problem) {
  if (!isTrue) throw new Error(problem);
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function kilobytes(bytes) {
  return `${(bytes / 1_000).toFixed(0)} kB`;
}

/** Builds and packs. The tarball holds what is built and nothing that is only for development. */
function pack() {
  run("npm", ["run", "build"]);
  const args = ["pack", "--ignore-scripts", "--json", "--pack-destination", home];
  const [packed] = Object.values(JSON.parse(run("npm", args, { isQuiet: true })));
  const paths = packed.files.map(({ path }) => path);
  for (const wanted of ["README.md", "LICENSE", "package.json", ...targets()]) {
    check(paths.includes(wanted), `the tarball has no ${wanted}; see "files" and "exports" in package.json`);
  }
  const strange = paths.filter((path) => path.includes("/") && !/^dist\/(src|transports)\/.+\.(js|d\.ts)$/.test(path));
  check(strange.length === 0, `the tarball has ${strange.slice(0, 3)}; only what is built belongs there`);
  const tarball = join(home, packed.filename);
  run("npx", ["--no-install", "publint", "run", tarball, "--strict"]);
  run("npx", ["--no-install", "attw", tarball, "--profile", "esm-only", "--no-color"]);
  return { ...packed, tarball };
}

/** Every file that package.json points at. */
function targets() {
  const conditions = Object.values(manifest.exports).flatMap((target) =>
    typeof target === "string" ? [target] : Object.values(target),
  );
  return [...conditions, ...Object.values(manifest.bin)].map((path) => path.replace(/^\.\//, ""));
}

/** As on a machine without a compiler. */
function install(tarball) {
  writeFileSync(join(home, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  const flags = ["--ignore-scripts", "--omit=optional", "--omit=dev", "--no-audit", "--no-fund"];
  run("npm", ["install", ...flags, tarball], { cwd: home });
  const installed = filesBelow(join(home, "node_modules"));
  const native = installed.filter((path) => path.endsWith(".node") || path.endsWith("binding.gyp"));
  check(native.length === 0, `something native came along: ${native.slice(0, 3)}`);
  const lock = JSON.parse(readFileSync(join(home, "node_modules/.package-lock.json"), "utf8"));
  return {
    packages: Object.keys(lock.packages).length,
    installedBytes: installed.reduce((sum, path) => sum + statSync(path).size, 0),
  };
}

function useCommand() {
  for (const name of Object.keys(manifest.bin)) {
    const help = run("npx", ["--no-install", name, "--help"], { cwd: home, isQuiet: true });
    check(/\bserve\b/.test(help), `${name} --help does not name the command serve:\n${help}`);
  }
}

async function importAll() {
  const userRequire = createRequire(join(home, "user.js"));
  for (const subpath of Object.keys(manifest.exports)) {
    const specifier = `${manifest.name}${subpath.slice(1)}`;
    if (specifier.endsWith(".json")) {
      check(userRequire(specifier).version === manifest.version, `${specifier} has another version`);
      continue;
    }
    const script = `console.log(Object.keys(await import(${JSON.stringify(specifier)})).join(" "))`;
    const names = run(process.execPath, ["--input-type=module", "--eval", script], { cwd: home, isQuiet: true }).trim();
    check(names !== "", `${specifier} exports nothing`);
    console.log(`${specifier}: ${names}`);
  }
}

/** What README.md says of the size is so: the packages exactly, bytes within a fifth. */
function checkReadme(tarballBytes, packages, installedBytes) {
  const said = /tarball has (\d+) kB; .* (\d+) packages and (\d+) MB/.exec(
    readFileSync(join(root, "README.md"), "utf8"),
  );
  const isNear = (value, bytes) => Math.abs(value - bytes) < bytes / 5;
  const [tarballKB, count, installedMB] = (said ?? []).slice(1).map(Number);
  check(
    isNear(tarballKB * 1e3, tarballBytes) && count === packages && isNear(installedMB * 1e6, installedBytes),
    `README.md: ${said?.[0] ?? "no size is told"}; the numbers are the two lines above`,
  );
}

try {
  const packed = pack();
  const { packages, installedBytes } = install(packed.tarball);
  useCommand();
  await importAll();
  console.log(
    `tarball ${kilobytes(packed.size)}, unpacked ${kilobytes(packed.unpackedSize)}, ${packed.entryCount} files`,
  );
  console.log(`installed: ${packages} packages, ${kilobytes(installedBytes)}, nothing native`);
  checkReadme(packed.size, packages, installedBytes);
} finally {
  rmSync(home, { recursive: true, force: true });
}
