import assert from "node:assert/strict";
import { TransportError } from "../../src/errors.ts";
import type { Generator } from "./generator.ts";

/** Something that is fed with whatever a generator thinks of. */
export interface Target {
  readonly name: string;
  /** Called once before the first run of a campaign. */
  open(): Promise<OpenTarget>;
}

/** Where inputs come from, beside the generator. */
export interface Inputs {
  /** The corpus. */
  readonly kept: readonly Buffer[];
  /** This one, as it is, and no other. */
  readonly exact?: Buffer;
}

export interface OpenTarget extends AsyncDisposable {
  /** One input. Throws, or rejects, when what came of it breaks a rule. */
  run(generator: Generator, inputs: Inputs): void | Promise<void>;
  /** Whether it still does its work for honest peers. Called now and then. */
  check?(): Promise<void>;
}

/** A target without anything to open. */
export function pureTarget(name: string, run: OpenTarget["run"]): Target {
  return { name, open: async () => ({ run, [Symbol.asyncDispose]: async () => {} }) };
}

/** The code of an error that a peer may cause. Throws for any other: that one is our own fault. */
export function codeOf(error: unknown): string {
  assert.ok(error instanceof TransportError, `not a TransportError: ${String(error)}`);
  assert.notEqual(error.code, "internal", `${error.message}: ${String(error.cause)}`);
  // It goes into logs: nothing that a peer sent may end a line there.
  assert.match(error.message, /^[\x20-\x7e]*$/);
  return error.code;
}

/** An input of the corpus, as it is or with faults; or one that `make` made. */
export function inputOf(generator: Generator, { kept, exact }: Inputs, make: () => Buffer): Buffer {
  if (exact !== undefined) return Buffer.from(exact);
  const isKept = kept.length > 0 && generator.chance(0.2);
  const data = isKept ? Buffer.from(generator.pick(kept)) : make();
  return generator.chance(isKept ? 0.7 : 0.5) ? generator.mutated(data) : data;
}
