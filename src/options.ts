import { readFileSync } from "node:fs";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { ConfigurationError } from "./errors.ts";
import { spellingHint } from "./options/aibrix.ts";
import { buildOptions, defaultOf, OPTION_NAMES, SECRETS } from "./options/build.ts";
import type { DaemonOptions, TransportName } from "./options/daemon-options.ts";
import { VARIABLES } from "./options/variables.ts";
import { firstIssue } from "./schema-issue.ts";

export type {
  ConnectionOptions,
  DaemonOptions,
  SecurityOptions,
  TransportName,
} from "./options/daemon-options.ts";

/** Options of one origin; `originOf` names it for a message, such as `--port`. */
export interface OptionSource {
  readonly values: Readonly<Record<string, unknown>>;
  readonly originOf: (option: string) => string;
  /** How a text should look that could not be read and stands among the values as it was given. */
  readonly formOf?: (option: string) => string | undefined;
  /** What is odd about this source and can be lived with, a sentence each. */
  readonly warnings?: readonly string[];
}

/** Options that environment variables set; an empty variable is none. */
export function environmentSource(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): OptionSource {
  const values: Record<string, unknown> = {};
  const origins = new Map<string, string>();
  const forms = new Map<string, string>();
  for (const [name, { option, form, read }] of Object.entries(VARIABLES)) {
    const text = environment[name];
    if (text === undefined || text === "") continue;
    const value = read(text);
    // Refused later, unless a stronger source sets the option.
    values[option] = value ?? text;
    origins.set(option, name);
    if (value === undefined) forms.set(option, form);
    else forms.delete(option);
  }
  const names = Object.keys(VARIABLES);
  const hints = Object.keys(environment).map((name) => spellingHint(name, names));
  return {
    values,
    originOf: (option) => origins.get(option) ?? "environment",
    formOf: (option) => forms.get(option),
    warnings: hints.filter((hint) => hint !== undefined),
  };
}

/**
 * The transport that `KV_TRANSPORT` names; `zmtp` where it is not set.
 *
 * @throws ConfigurationError `invalid-option`
 */
export function defaultTransport(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): TransportName {
  const { KV_TRANSPORT: transport } = environment;
  return resolveOptions([environmentSource({ KV_TRANSPORT: transport })]).transport;
}

/**
 * Options of a file: YAML where its name ends so, else JSON.
 *
 * @throws ConfigurationError `invalid-file` where it cannot be read or holds no options.
 */
export function fileSource(path: string): OptionSource {
  let values: unknown;
  try {
    const text = readFileSync(path, "utf8");
    values = /\.ya?ml$/i.test(path) ? parseYaml(text) : JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigurationError(
      "invalid-file",
      `file ${path}: ${reason}; give a readable file of JSON, or of YAML that is named so`,
      { cause },
    );
  }
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new ConfigurationError("invalid-file", `file ${path}: expected an object of options`);
  }
  return { values: { ...values }, originOf: (option) => `${option} in ${path}` };
}

/**
 * Merges options, the later source over the earlier one, and fills in the defaults.
 *
 * @throws ConfigurationError `invalid-option` with the option's origin, its value and what to use instead.
 */
export function resolveOptions(sources: readonly OptionSource[]): DaemonOptions {
  const { merged, origins } = mergeSources(sources);
  const warnings = sources.flatMap((source) => source.warnings ?? []);
  try {
    return buildOptions(merged, warnings);
  } catch (error) {
    throw error instanceof z.ZodError ? optionError(error, merged, origins) : error;
  }
}

/** One line of an effective configuration. */
export interface EffectiveOption {
  readonly option: string;
  /** `null`: not set, and without a default of its own. `***` in the place of a secret. */
  readonly value: unknown;
  /** The flag, variable or place in a file; `default`. */
  readonly source: string;
}

/** What holds of every option, and who said so. Throws as `resolveOptions`. */
export function effectiveOptions(sources: readonly OptionSource[]): readonly EffectiveOption[] {
  resolveOptions(sources);
  const { merged, origins } = mergeSources(sources);
  return OPTION_NAMES.map((option) => {
    const source = origins.get(option);
    if (source === undefined) return { option, value: defaultOf(option), source: "default" };
    const value = SECRETS.has(option) ? "***" : withoutCredentials(merged[option]);
    return { option, value, source: source.originOf(option) };
  });
}

/** A URL may name a user and a password. */
function withoutCredentials(value: unknown): unknown {
  if (typeof value === "string") return value.replace(/(\/\/)[^/@\s]+@/g, "$1***@");
  if (Array.isArray(value)) return value.map(withoutCredentials);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withoutCredentials(each)]));
}

/** The later source over the earlier one, and which one it was. */
function mergeSources(sources: readonly OptionSource[]): {
  readonly merged: Record<string, unknown>;
  readonly origins: ReadonlyMap<string, OptionSource>;
} {
  const merged: Record<string, unknown> = {};
  const origins = new Map<string, OptionSource>();
  for (const source of sources) {
    for (const [option, value] of Object.entries(source.values)) {
      if (value === undefined) continue;
      merged[option] = value;
      origins.set(option, source);
    }
  }
  return { merged, origins };
}

function optionError(
  error: z.ZodError,
  merged: Readonly<Record<string, unknown>>,
  origins: ReadonlyMap<string, OptionSource>,
): ConfigurationError {
  const { path, key, value, problem } = firstIssue(error, merged, OPTION_NAMES);
  const source = origins.get(key);
  const origin = source?.originOf(key) ?? key;
  const form = source?.formOf?.(key);
  const remedy = form === undefined ? problem : `use ${form}`;
  const shown = SECRETS.has(key) ? "what is not shown" : value;
  return new ConfigurationError("invalid-option", `${origin}${path.slice(key.length)} is ${shown}: ${remedy}`);
}
