/** How a part of a line looks where there are colours. */
export type Style = "bold" | "dim" | "green" | "yellow" | "red" | "cyan";

/** A part of a line. */
export interface Span {
  readonly text: string;
  readonly style?: Style;
}

export type Line = readonly Span[];

/** Where text goes. */
export interface Paper {
  /** Characters in a line. */
  readonly columns: number;
  readonly colours: boolean;
}

const CODES: Readonly<Record<Style, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 };
const ESCAPE = "\u001b";

/** The line as a terminal takes it, cut where the paper ends, without blanks at its end. */
export function printLine(line: Line, { columns, colours }: Paper): string {
  let left = columns;
  const parts = line.map(({ text, style }) => {
    const characters = [...text];
    const shown =
      characters.length <= left ? text : `${characters.slice(0, Math.max(0, left - 1)).join("")}${left > 0 ? "…" : ""}`;
    left = Math.max(0, left - characters.length);
    if (!colours || style === undefined || shown.trim() === "") return shown;
    return `${ESCAPE}[${CODES[style]}m${shown}${ESCAPE}[0m`;
  });
  return parts.join("").trimEnd();
}
