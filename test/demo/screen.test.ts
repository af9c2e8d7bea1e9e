import assert from "node:assert/strict";
import { test } from "node:test";
import { Screen } from "../../src/demo/screen.ts";
import type { Line } from "../../src/demo/text.ts";

const PAPER = { columns: 80, colours: false };

/** What a terminal of endless height shows afterwards, and whether its cursor is visible. */
function emulate(output: string): { readonly lines: readonly string[]; readonly isCursorVisible: boolean } {
  const lines: string[] = [""];
  let row = 0;
  let column = 0;
  let isCursorVisible = true;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what terminals are told
  for (const [token, argument, command] of output.matchAll(/\u001b\[([?\d]*)([A-Za-z])|[^\u001b]/gu)) {
    if (command === "A") row -= Number(argument);
    else if (command === "K") lines[row] = lines[row]!.slice(0, column);
    else if (command === "J") lines.splice(row + 1, lines.length, ...[]);
    else if (command === "h" || command === "l") isCursorVisible = command === "h";
    else if (token === "\r") column = 0;
    else if (token === "\n") {
      row++;
      column = 0;
      lines[row] ??= "";
    } else {
      lines[row] = lines[row]!.slice(0, column).padEnd(column) + token + lines[row]!.slice(column + 1);
      column++;
    }
    if (command === "J") lines[row] = lines[row]!.slice(0, column);
  }
  return { lines, isCursorVisible };
}

function draw(...frames: readonly (readonly string[])[]): string {
  let output = "";
  const screen = new Screen((text) => {
    output += text;
  });
  for (const frame of frames) {
    screen.draw(
      frame.map((text): Line => [{ text }]),
      PAPER,
    );
  }
  screen.end();
  return output;
}

test("a frame takes the place of the one before, whatever their lines' lengths", () => {
  const output = draw(["a long first line", "second"], ["short", "a long second line"]);
  assert.deepEqual(emulate(output).lines, ["short", "a long second line", ""]);
});

test("a frame that is lower leaves nothing of a higher one", () => {
  assert.deepEqual(emulate(draw(["1", "2", "3"], ["4"])).lines, ["4", ""]);
});

test("a frame that is higher only adds to it", () => {
  assert.deepEqual(emulate(draw(["1"], ["2", "3"])).lines, ["2", "3", ""]);
});

test("the cursor is hidden while frames are drawn, and back at the end", () => {
  let output = "";
  const screen = new Screen((text) => {
    output += text;
  });
  screen.draw([[{ text: "x" }]], PAPER);
  assert.equal(emulate(output).isCursorVisible, false);
  screen.end();
  assert.equal(emulate(output).isCursorVisible, true);
});

test("a screen on which nothing was drawn writes nothing", () => {
  assert.equal(draw(), "");
});
