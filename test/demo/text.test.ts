import assert from "node:assert/strict";
import { test } from "node:test";
import { type Line, printLine } from "../../src/demo/text.ts";

const LINE: Line = [{ text: "state " }, { text: "live", style: "green" }, { text: "  " }];

test("without colours a line is its text, without blanks at its end", () => {
  assert.equal(printLine(LINE, { columns: 80, colours: false }), "state live");
});

test("with colours only what has a style is coloured", () => {
  assert.equal(printLine(LINE, { columns: 80, colours: true }), "state \u001b[32mlive\u001b[0m");
});

test("a line that is too long is cut, and shows that it is", () => {
  const cut = [7, 8, 9, 10].map((columns) => printLine(LINE.slice(0, 2), { columns, colours: false }));
  assert.deepEqual(cut, ["state …", "state l…", "state li…", "state live"]);
});

test("colours take no room", () => {
  assert.equal(printLine(LINE, { columns: 8, colours: true }), "state \u001b[32ml…\u001b[0m");
});

test("what lies beyond the end leaves nothing", () => {
  assert.equal(printLine([{ text: "12345" }, { text: "678", style: "red" }], { columns: 5, colours: true }), "12345");
});
