import { type Line, type Paper, printLine } from "./text.ts";

const ESCAPE = "\u001b";
const HIDE_CURSOR = `${ESCAPE}[?25l`;
const SHOW_CURSOR = `${ESCAPE}[?25h`;
const CLEAR_TO_END = `${ESCAPE}[J`;
const CLEAR_LINE = `${ESCAPE}[K`;

/** Draws frames over each other on a terminal, where the cursor is. The last one stays. */
export class Screen {
  readonly #write: (text: string) => void;
  #height = 0;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** `paper` may change from frame to frame. Lines below the terminal's last one cannot be drawn over: see to it that it fits. */
  draw(lines: readonly Line[], paper: Paper): void {
    const start = this.#height === 0 ? HIDE_CURSOR : `${ESCAPE}[${this.#height}A\r`;
    const shrunk = lines.length < this.#height ? CLEAR_TO_END : "";
    this.#write(start + lines.map((line) => `${printLine(line, paper)}${CLEAR_LINE}\n`).join("") + shrunk);
    this.#height = lines.length;
  }

  /** Gives the cursor back, below the last frame. */
  end(): void {
    if (this.#height > 0) this.#write(SHOW_CURSOR);
    this.#height = 0;
  }
}
