/** One instruction: its first word in capitals, and what follows it with variables of `ARG` filled in. */
export interface Instruction {
  readonly name: string;
  readonly text: string;
  /** What stands in it as JSON; `null` where it is for a shell. */
  readonly words: readonly string[] | null;
}

/** What `FROM … AS name` begins. */
export interface Stage {
  readonly base: string;
  readonly name: string | null;
  readonly instructions: readonly Instruction[];
}

/** A `COPY`, with its paths as they are written. */
export interface Copy {
  readonly from: string | null;
  readonly sources: readonly string[];
  readonly target: string;
}

const KNOWN = ["ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "ENTRYPOINT", "CMD", "HEALTHCHECK"];

/**
 * The stages of a container file, without heredocs and parser directives.
 *
 * @throws Error at an instruction that it does not know, or one before the first `FROM`.
 */
export function parseDockerfile(text: string): readonly Stage[] {
  const variables = new Map<string, string>();
  const stages: { base: string; name: string | null; instructions: Instruction[] }[] = [];
  for (const line of logicalLines(text)) {
    const [, name = "", rest = ""] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    if (!KNOWN.includes(name)) throw new Error(`${line}: no instruction that is known here`);
    const filled = name === "RUN" ? rest : rest.replace(/\$\{(\w+)\}/g, (whole, key) => variables.get(key) ?? whole);
    if (name === "ARG") {
      const [key = "", value = ""] = filled.split("=");
      variables.set(key, value);
    } else if (name === "FROM") {
      const [, base = "", stage = null] = /^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(filled) ?? [];
      stages.push({ base, name: stage, instructions: [] });
    } else {
      const stage = stages.at(-1);
      if (stage === undefined) throw new Error(`${line}: before any FROM`);
      stage.instructions.push({ name, text: filled, words: filled.startsWith("[") ? JSON.parse(filled) : null });
    }
  }
  return stages;
}

/** The paths of a `COPY`. */
export function copyOf({ text }: Instruction): Copy {
  const [, from = null, paths = ""] = /^(?:--from=(\S+)\s+)?(.*)$/.exec(text) ?? [];
  const words = paths.split(/\s+/);
  return { from, sources: words.slice(0, -1), target: words.at(-1)! };
}

/** Lines without comments, those that end in a backslash together with what follows. */
function logicalLines(text: string): readonly string[] {
  const kept = text.split("\n").filter((line) => !/^\s*#/.test(line));
  return kept
    .join("\n")
    .replace(/\\\n\s*/g, "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}
