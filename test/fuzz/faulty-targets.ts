import { execFileSync } from "node:child_process";
import { pureTarget, type Target } from "./target.ts";

/** What a fuzzer has to notice, each by its name; none of it before its tenth run. */
let runs = 0;
const heap: unknown[] = [];
const buffers: Buffer[] = [];

function fromTheTenthOn(misbehave: () => void | Promise<void>): () => void | Promise<void> {
  return () => {
    runs += 1;
    return runs < 10 ? undefined : misbehave();
  };
}

export const targets: readonly Target[] = [
  pureTarget("sound", () => {}),
  pureTarget(
    "throws",
    fromTheTenthOn(() => {
      throw new Error("wrong result");
    }),
  ),
  pureTarget(
    "rejects-unheard",
    fromTheTenthOn(() => {
      void Promise.reject(new Error("nobody hears this"));
      return new Promise((resolve) => setImmediate(resolve));
    }),
  ),
  pureTarget(
    "throws-in-a-callback",
    fromTheTenthOn(
      () =>
        new Promise((resolve) =>
          setImmediate(() => {
            resolve();
            throw new Error("nobody catches this");
          }),
        ),
    ),
  ),
  pureTarget(
    "never-ends",
    fromTheTenthOn(() => new Promise(() => {})),
  ),
  pureTarget(
    "loops",
    fromTheTenthOn(() => {
      for (;;) runs += 1;
    }),
  ),
  pureTarget(
    "stands-still",
    // Where no `terminate` reaches it.
    fromTheTenthOn(() => {
      execFileSync(process.execPath, ["--eval", "setTimeout(() => {}, 10_000)"]);
    }),
  ),
  pureTarget(
    "keeps-buffers",
    // Slowly: what the first slice of time leaves behind counts as warming up.
    fromTheTenthOn(async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (buffers.length < 200) buffers.push(Buffer.alloc(1_048_576, 1));
    }),
  ),
  pureTarget(
    "fills-the-heap",
    fromTheTenthOn(() => {
      for (;;) heap.push(Array.from({ length: 10_000 }, (_, i) => `${i}`));
    }),
  ),
];
