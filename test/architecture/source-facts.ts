import {
  isBindingElement,
  isCallExpression,
  isElementAccessExpression,
  isExportDeclaration,
  isIdentifier,
  isImportDeclaration,
  isImportEqualsDeclaration,
  isImportTypeNode,
  isLiteralTypeNode,
  isObjectBindingPattern,
  isPropertyAccessExpression,
  isPropertyAssignment,
  isPropertySignatureDeclaration,
  isStringLiteralLikeNode,
  isVariableDeclaration,
  type Node,
  type SourceFile,
  SyntaxKind,
} from "typescript/unstable/ast";
import { createVirtualFileSystem } from "typescript/unstable/fs";
import { API } from "typescript/unstable/sync";

/** One module that a file names. */
export interface ImportFact {
  /** As written; `null` where it is computed and nobody can tell before it runs. */
  readonly specifier: string | null;
  /** `type` leaves nothing behind when compiled; `dynamic` is loaded when the line runs. */
  readonly kind: "type" | "value" | "dynamic";
  readonly line: number;
}

/** What belongs to the process and not to an instance. */
export interface GlobalFact {
  readonly global: "console" | "process.env";
  readonly line: number;
}

/** What the rules want to know of one file. */
export interface SourceFacts {
  /** From the root of the repository, with `/`. */
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly ImportFact[];
  readonly globals: readonly GlobalFact[];
}

/**
 * Parses sources by their path. TypeScript 7 has no parser in JavaScript: its own compiler does it in a child process,
 * by an API that may change until it is stable.
 *
 * @throws Error where a source does not parse.
 */
export function readFacts(sources: Readonly<Record<string, string>>): SourceFacts[] {
  const paths = Object.keys(sources);
  const config = { compilerOptions: { noLib: true, noResolve: true, types: [] }, files: paths };
  const files = Object.fromEntries(paths.map((path) => [`/${path}`, sources[path]!]));
  const api = new API({
    cwd: "/",
    fs: createVirtualFileSystem({ ...files, "/tsconfig.json": JSON.stringify(config) }),
  });
  try {
    const program = api.updateSnapshot({ openProjects: ["/tsconfig.json"] }).getProjects()[0]!.program;
    return paths.map((path) => {
      const [problem] = program.getSyntacticDiagnostics(`/${path}`);
      const file = program.getSourceFile(`/${path}`);
      if (problem !== undefined || file === undefined) throw new Error(`${path}: ${problem?.text ?? "was not parsed"}`);
      return factsOf(path, file);
    });
  } finally {
    api.close();
  }
}

function factsOf(path: string, file: SourceFile): SourceFacts {
  const imports: ImportFact[] = [];
  const globals: GlobalFact[] = [];
  const visit = (node: Node, parent: Node): void => {
    const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
    const found = importOf(node);
    if (found !== null) imports.push({ ...found, line });
    const global = globalOf(node, parent);
    if (global !== null) globals.push({ global, line });
    node.forEachChild((child) => visit(child, node));
  };
  file.forEachChild((child) => visit(child, file));
  return { path, lines: file.text.trimEnd().split("\n").length, imports, globals };
}

function importOf(node: Node): Omit<ImportFact, "line"> | null {
  if (isImportDeclaration(node)) {
    const isType = node.importClause?.phaseModifier === SyntaxKind.TypeKeyword;
    return { specifier: textOf(node.moduleSpecifier), kind: isType ? "type" : "value" };
  }
  if (isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
    return { specifier: textOf(node.moduleSpecifier), kind: node.isTypeOnly ? "type" : "value" };
  }
  if (isImportEqualsDeclaration(node) && node.moduleReference.kind === SyntaxKind.ExternalModuleReference) {
    return { specifier: textOf(node.moduleReference.expression), kind: node.isTypeOnly ? "type" : "value" };
  }
  if (isImportTypeNode(node)) {
    return { specifier: isLiteralTypeNode(node.argument) ? textOf(node.argument.literal) : null, kind: "type" };
  }
  if (isCallExpression(node) && isLoader(node.expression)) {
    return { specifier: textOf(node.arguments[0]), kind: "dynamic" };
  }
  return null;
}

function isLoader(callee: Node): boolean {
  return callee.kind === SyntaxKind.ImportKeyword || ["require", "getBuiltinModule"].includes(lastNameOf(callee) ?? "");
}

function globalOf(node: Node, parent: Node): GlobalFact["global"] | null {
  if (keyOf(node) === "env" && lastNameOf(objectOf(node)) === "process") return "process.env";
  if (isObjectBindingPattern(node) && isVariableDeclaration(parent) && lastNameOf(parent.initializer) === "process") {
    const takesEnv = node.elements.some(({ name, propertyName }) => nameOf(propertyName ?? name) === "env");
    if (takesEnv) return "process.env";
  }
  return isIdentifier(node) && node.text === "console" && !isNameOfMember(node, parent) ? "console" : null;
}

/** Whether the identifier only names a member of something, as in `log.console`; `globalThis.console` is no member. */
function isNameOfMember(node: Node, parent: Node): boolean {
  if (isPropertyAccessExpression(parent)) {
    return parent.name === node && lastNameOf(parent.expression) !== "globalThis";
  }
  if (isBindingElement(parent)) return parent.propertyName === node;
  return (isPropertyAssignment(parent) || isPropertySignatureDeclaration(parent)) && parent.name === node;
}

function objectOf(node: Node): Node | undefined {
  return isPropertyAccessExpression(node) || isElementAccessExpression(node) ? node.expression : undefined;
}

function keyOf(node: Node): string | null {
  if (isPropertyAccessExpression(node)) return nameOf(node.name);
  return isElementAccessExpression(node) ? textOf(node.argumentExpression) : null;
}

function lastNameOf(node: Node | undefined): string | null {
  if (node === undefined) return null;
  return nameOf(node) ?? keyOf(node);
}

function nameOf(node: Node | undefined): string | null {
  return node !== undefined && isIdentifier(node) ? node.text : null;
}

function textOf(node: Node | undefined): string | null {
  return node !== undefined && isStringLiteralLikeNode(node) ? node.text : null;
}
