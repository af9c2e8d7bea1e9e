import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { root } from "../../support/tools.ts";

/** A Kubernetes object; what a test reads of it, it casts. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: manifests are as deep as they are many
  readonly [field: string]: any;
}

/** What `helm template` is asked for. */
export interface Release {
  readonly values?: string;
  readonly set?: readonly string[];
  readonly namespace?: string;
  readonly name?: string;
}

export const chart: string = join(root, "deploy/chart");

/** Values that the chart is tested with, besides its own; without the end of their names. */
export const VALUES: readonly string[] = readdirSync(join(chart, "ci")).map((file) => file.replace("-values.yaml", ""));

/** The newest Kubernetes that the chart is tested on. */
export const KUBE_VERSION = "1.35.4";

/** What `helm template` prints. Throws with its own message where it refuses. */
export function renderText(
  helm: string,
  { values, set = [], namespace = "serving", name = "kv" }: Release = {},
): string {
  const files = values === undefined ? [] : ["--values", valuesFile(values)];
  const sets = set.flatMap((each) => ["--set", each]);
  const args = ["template", name, chart, "--namespace", namespace, "--kube-version", KUBE_VERSION, ...files, ...sets];
  const { status, stdout, stderr, error } = spawnSync(helm, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(error?.message ?? stderr);
  return stdout;
}

/** Throws with what `helm lint` has to say of these values, warnings too. */
export function lint(helm: string, values: string): void {
  const args = ["lint", chart, "--strict", "--quiet", "--kube-version", KUBE_VERSION, "--values", valuesFile(values)];
  const { status, stdout, stderr } = spawnSync(helm, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${stdout}${stderr}`);
}

function valuesFile(values: string): string {
  return join(chart, "ci", `${values}-values.yaml`);
}

/** Every object that the chart makes of these values. */
export function render(helm: string, release: Release = {}): readonly Manifest[] {
  return parseManifests(renderText(helm, release));
}

/** The objects of a file with `---` between them. Throws where it is no YAML, or a key is there twice. */
export function parseManifests(text: string): readonly Manifest[] {
  return parseAllDocuments(text, { uniqueKeys: true })
    .map((document) => {
      const [problem] = [...document.errors, ...document.warnings];
      if (problem !== undefined) throw problem;
      return document.toJS() as Manifest | null;
    })
    .filter((manifest) => manifest !== null);
}

/** The only object of that kind. Throws where there is none, or more. */
export function only(manifests: readonly Manifest[], kind: string): Manifest {
  const [manifest, ...others] = manifests.filter((each) => each.kind === kind);
  if (manifest !== undefined && others.length === 0) return manifest;
  throw new Error(`${kind}: ${manifest === undefined ? 0 : others.length + 1} of ${manifests.map(({ kind }) => kind)}`);
}
