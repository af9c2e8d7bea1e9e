import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";

/** Of the repository. */
export const root: string = fileURLToPath(new URL("../..", import.meta.url));

const { CI } = process.env;
const FOLDER = join(root, ".cache/tools");
const TIMEOUT_MS = 240_000;

/** A program that tests need and few have. */
export interface Tool {
  readonly name: string;
  /** The environment variable that names one which is there already. */
  readonly variable: string;
  /** How to come by it. */
  readonly remedy: string;
}

/** One in Go: it is built once, into a folder that git ignores. */
export interface GoTool extends Tool {
  readonly version: string;
  /** Its module where that is one of ours, from the root; without one the version is built as it was published. */
  readonly module?: string;
  readonly package: string;
  readonly flags?: readonly string[];
}

export const HELM: GoTool = {
  name: "helm",
  version: "v3.22.0",
  variable: "HELM",
  remedy: "npm run build:tools -- helm",
  package: "helm.sh/helm/v3/cmd/helm",
};

export const KUBE_APISERVER: GoTool = {
  name: "kube-apiserver",
  version: "v1.35.4",
  variable: "KUBE_APISERVER",
  remedy: "npm run build:tools -- kube-apiserver",
  module: "test/interop/kube-apiserver",
  package: "k8s.io/kubernetes/cmd/kube-apiserver",
  // Without a version it calls itself v0.0.0, which clients do not understand.
  flags: ["-ldflags", versionFlags("v1.35.4")],
};

/** Of the system. */
export const ETCD: Tool = { name: "etcd", variable: "ETCD", remedy: "apt-get install etcd-server" };

export const KUBECTL: Tool = { name: "kubectl", variable: "KUBECTL", remedy: "apt-get install kubernetes-client" };

/** Debian has it in the package of the server, which it starts where it starts services. */
export const PROMTOOL: Tool = {
  name: "promtool",
  variable: "PROMTOOL",
  remedy: "apt-get install --no-install-recommends prometheus",
};

export const PROMETHEUS: Tool = { ...PROMTOOL, name: "prometheus", variable: "PROMETHEUS" };

function versionFlags(version: string): string {
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version)!;
  const values = { gitVersion: version, gitMajor: major, gitMinor: minor };
  const set = Object.entries(values).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  return ["-s -w", ...set].join(" ");
}

/** Where the program is; `null` if nobody named, built or installed one. */
export function findTool(tool: Tool | GoTool): string | null {
  const given = process.env[tool.variable];
  if (given !== undefined && given !== "") return given;
  const folders = "version" in tool ? [FOLDER] : (process.env["PATH"] ?? "").split(delimiter);
  const file = "version" in tool ? fileOf(tool) : tool.name;
  return folders.map((folder) => join(folder, file)).find((path) => existsSync(path)) ?? null;
}

function fileOf({ name, version }: GoTool): string {
  return `${name}-${version}`;
}

/**
 * Builds the program where it is not there yet, and returns its path.
 *
 * @throws Error where Go is missing, or cannot build it.
 */
export function buildTool(tool: GoTool): string {
  const found = findTool(tool);
  if (found !== null) return found;
  const { name, version, module, flags = [] } = tool;
  const program = join(FOLDER, fileOf(tool));
  const folder = join(FOLDER, `${name}-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  // Two at a time: whoever waits for it has other work as well.
  const args = module === undefined ? ["install", "-p", "2", `${tool.package}@${version}`] : ["build", "-p", "2"];
  if (module !== undefined) args.push("-mod=readonly", "-trimpath", ...flags, "-o", join(folder, name), tool.package);
  const { error, status } = spawnSync("go", args, {
    cwd: join(root, module ?? "."),
    env: { ...process.env, GOBIN: folder },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const isMissing = (error as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
  if (isMissing) throw new Error(`no Go to build ${name} with: install 1.26 or later, or name one in ${tool.variable}`);
  if (status !== 0) throw new Error(`go ${args.join(" ")}: ${error?.message ?? `exit code ${status}`}`);
  renameSync(join(folder, name), program);
  rmSync(folder, { recursive: true });
  return program;
}

/** Where a program is missing the test is skipped, and says so; where all has to be there (`CI=true`) it fails. */
export function toolTest(
  tools: readonly Tool[],
  name: string,
  run: (programs: readonly string[], t: TestContext) => Promise<void> | void,
): void {
  test(name, { timeout: TIMEOUT_MS }, async (t) => {
    const programs = tools.map(findTool);
    const missing = tools.filter((_, at) => programs[at] === null);
    if (missing.length === 0) return run(programs as string[], t);
    const reason = missing
      .map(({ name, remedy, variable }) => `no ${name}: ${remedy}, or name one in ${variable}`)
      .join("; ");
    if (CI === "true") throw new Error(reason);
    t.skip(reason);
  });
}
