/** What is done to an engine's process, or to the connection to it. */
export type Deed = "stop" | "start" | "cut" | "mend";

export interface Act {
  /** Of the whole time, 0 to 1. */
  readonly share: number;
  readonly deed: Deed;
  /** From 0. */
  readonly engine: number;
}

/**
 * One engine restarts in place, with a pause as a container takes it; then another one's connection is cut for a while.
 * Of one or two engines, the first one's.
 */
export function writeScript(engines: number): readonly Act[] {
  const restarted = 1 % engines;
  const cut = 2 % engines;
  return [
    { share: 0.25, deed: "stop", engine: restarted },
    { share: 0.32, deed: "start", engine: restarted },
    { share: 0.5, deed: "cut", engine: cut },
    { share: 0.65, deed: "mend", engine: cut },
  ];
}
