import type { z } from "zod";
import { nearest } from "./options/spelling.ts";

/** What is wrong with one value, in the words of a message. */
export interface SchemaIssue {
  /** Where it stands, such as `endpoints[0].ranks`. */
  readonly path: string;
  /** The first key of the path. */
  readonly key: string;
  /** As JSON, cut where it is long; `missing` where there is none. */
  readonly value: string;
  /** Why it cannot be used. */
  readonly problem: string;
}

const MAX_SHOWN_CHARACTERS = 80;

/** The first issue that a schema has with this value. `known` names the keys that there are, for one that there is not. */
export function firstIssue(error: z.ZodError, value: unknown, known: readonly string[]): SchemaIssue {
  const issue = error.issues[0]!;
  const unknownKey = issue.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const path = unknownKey === undefined ? issue.path : [...issue.path, unknownKey];
  const found = path.reduce<unknown>((from, key) => (from as Record<PropertyKey, unknown> | undefined)?.[key], value);
  const message = issue.message.replace(/^Invalid input: /, "");
  return {
    path: path
      .map((key, at) => (typeof key === "number" ? `[${key}]` : `${at === 0 ? "" : "."}${String(key)}`))
      .join(""),
    key: String(path[0] ?? ""),
    value: shownValue(found),
    problem:
      unknownKey === undefined
        ? `${message.charAt(0).toLowerCase()}${message.slice(1)}`
        : `there is no such option; ${meant(unknownKey, known)}`,
  };
}

function meant(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return near === undefined ? `use one of ${known.join(", ")}` : `did you mean ${near}?`;
}

/** A value as JSON, cut where it is long; `missing` where there is none. */
export function shownValue(value: unknown): string {
  let json: string;
  try {
    json = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? "missing");
  } catch {
    // JSON.parse reads what is nested deeper than the stack on which JSON.stringify writes.
    json = Array.isArray(value) ? "[…" : "{…";
  }
  return json.length > MAX_SHOWN_CHARACTERS ? `${json.slice(0, MAX_SHOWN_CHARACTERS)}…` : json;
}
