import { isBuiltin } from "node:module";
import { posix } from "node:path";
import type { ImportFact, SourceFacts } from "./source-facts.ts";

/** Which packages a published file may import. */
export interface DeclaredPackages {
  readonly dependencies: readonly string[];
  /** Optional: imported when they are chosen, not before. */
  readonly optional: readonly string[];
}

/** A module that a file names, as the rules see it. */
interface Target {
  /** From the root of the repository, for a file of this one. */
  readonly file?: string;
  /** `node:net` and the like, always with `node:`. */
  readonly builtin?: string;
  /** Without what follows the package's name. */
  readonly package?: string;
  readonly kind: ImportFact["kind"];
}

/** One sentence of the design. */
interface Rule {
  /** Why, as the end of a complaint. */
  readonly reason: string;
  readonly concerns: (path: string) => boolean;
  readonly allows: (target: Target, path: string) => boolean;
}

const NETWORK = ["node:net", "node:tls", "node:dgram", "node:http", "node:https", "node:http2"];
const LIBRARIES_BY_TRANSPORT: Readonly<Record<string, string>> = {
  libzmq: "zeromq",
  websocket: "jszmq",
  zmtp: "@noble/ciphers",
};
const SHARED_WITH_TRANSPORTS = ["src/transport.ts", "src/errors.ts", "src/clock.ts"];
const MAX_CONTRACT_LINES = 110;
const CONTRACTS = ["src/transport.ts", "src/discovery/discovery.ts"];

const RULES: readonly Rule[] = [
  {
    reason: `a transport knows ${SHARED_WITH_TRANSPORTS.join(", ")}, transports/shared/ and its own folder`,
    concerns: isBelow("transports"),
    allows: ({ file }, path) =>
      file === undefined ||
      SHARED_WITH_TRANSPORTS.includes(file) ||
      isBelow("transports/shared")(file) ||
      isBelow(folderOf(path))(file),
  },
  {
    reason: "a transport is pure JavaScript, or stands on the one library that it is for",
    concerns: isBelow("transports"),
    allows: (target, path) =>
      target.package === undefined || target.package === LIBRARIES_BY_TRANSPORT[folderOf(path).split("/")[1]!],
  },
  {
    reason: "only src/container.ts knows the transports and the injection",
    concerns: (path) => isBelow("src")(path) && path !== "src/container.ts",
    allows: (target) => !isBelow("transports")(target.file ?? "") && target.package !== "tsyringe",
  },
  {
    reason: "sync/ reaches the network through a Transport",
    concerns: isBelow("src/sync"),
    allows: (target) => !NETWORK.includes(target.builtin ?? "") && !["zeromq", "jszmq"].includes(target.package ?? ""),
  },
  {
    reason: "the indexer knows nothing of those who feed and ask it",
    concerns: isBelow("src/indexer"),
    allows: ({ file = "" }) => !["sync", "discovery", "server"].some((name) => isBelow(`src/${name}`)(file)),
  },
  {
    reason: "events/ does no I/O",
    concerns: isBelow("src/events"),
    allows: (target) => target.builtin === undefined,
  },
  {
    reason: "a contract stands on contracts",
    concerns: (path) => CONTRACTS.includes(path),
    allows: (target) => target.kind === "type",
  },
  {
    reason: "what is published imports nothing that is only for its development",
    concerns: () => true,
    allows: ({ file }) => file === undefined || isBelow("src")(file) || isBelow("transports")(file),
  },
];

/** What the sources do against the design, a sentence each; empty when they obey it. */
export function violations(sources: readonly SourceFacts[], packages: DeclaredPackages): string[] {
  return sources.flatMap((source) => [
    ...importViolations(source, packages),
    ...globalViolations(source),
    ...sizeViolations(source),
  ]);
}

function importViolations({ path, imports }: SourceFacts, packages: DeclaredPackages): string[] {
  const rules = RULES.filter(({ concerns }) => concerns(path));
  return imports.flatMap((fact) => {
    const at = `${path}:${fact.line}`;
    if (fact.specifier === null) return [`${at}: imports what nobody can read before it runs; write the name`];
    const target = targetOf(path, fact.specifier, fact.kind);
    const reasons = rules.filter(({ allows }) => !allows(target, path)).map(({ reason }) => reason);
    const undeclared = declarationProblem(target, packages);
    if (undeclared !== null) reasons.push(undeclared);
    return reasons.map((reason) => `${at}: imports ${fact.specifier}; ${reason}`);
  });
}

function declarationProblem(target: Target, { dependencies, optional }: DeclaredPackages): string | null {
  if (target.package === undefined || dependencies.includes(target.package)) return null;
  if (!optional.includes(target.package)) return "package.json does not name it among the dependencies";
  return target.kind === "value" ? "an optional package is imported when it is chosen, by import()" : null;
}

function globalViolations({ path, globals, imports }: SourceFacts): string[] {
  if (path === "src/cli.ts" || path === "src/options.ts" || isBelow("src/cli")(path)) return [];
  const imported = imports
    .filter(({ specifier }) => ["process", "console"].includes((specifier ?? "").replace(/^node:/, "")))
    .map(({ specifier, line }) => ({ global: specifier, line }));
  return [...globals, ...imported].map(
    ({ global, line }) => `${path}:${line}: uses ${global}; only the command line and src/options.ts do`,
  );
}

function sizeViolations({ path, lines }: SourceFacts): string[] {
  if (!CONTRACTS.includes(path) || lines <= MAX_CONTRACT_LINES) return [];
  return [`${path}: has ${lines} lines; a contract is read in one go, in at most ${MAX_CONTRACT_LINES}`];
}

function targetOf(path: string, specifier: string, kind: Target["kind"]): Target {
  if (specifier.startsWith(".")) return { file: posix.join(posix.dirname(path), specifier), kind };
  if (isBuiltin(specifier)) return { builtin: `node:${specifier.replace(/^node:/, "")}`, kind };
  const parts = specifier.split("/");
  return { package: parts.slice(0, specifier.startsWith("@") ? 2 : 1).join("/"), kind };
}

function isBelow(folder: string): (path: string) => boolean {
  return (path) => path.startsWith(`${folder}/`);
}

/** The transport's folder: `transports/zmtp` of any file in it. */
function folderOf(path: string): string {
  return path.split("/").slice(0, 2).join("/");
}
