import { InvalidArgumentError } from "commander";

/** Reads a flag that is a number; commander names the flag and quotes what was given. */
export function numberFlag(value: string): number {
  const number = Number(value);
  if (value.trim() !== "" && !Number.isNaN(number)) return number;
  throw new InvalidArgumentError("It is not a number.");
}
