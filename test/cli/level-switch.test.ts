import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { LevelSwitch } from "../../src/cli/level-switch.ts";
import { run } from "./support.ts";

const limit = { timeout: 60_000 };
const isDebug = (line: string): boolean => JSON.parse(line).level === 20;

test("SIGUSR2 makes a daemon talk, and the next one falls silent again", limit, async (context) => {
  const flags = ["--endpoint", "tcp://127.0.0.1:1", "--model", "m", "--log-level", "warn"];
  const { child, errorLine, end } = run(context, ["serve", "--port", "0", ...flags]);
  const refused = await errorLine(/ECONNREFUSED/);
  assert.ok(!isDebug(refused));
  child.kill("SIGUSR2");
  assert.equal(JSON.parse(await errorLine(/SIGUSR2/)).msg, "log level is debug from now on, by SIGUSR2");
  assert.ok(isDebug(await errorLine(/connection is connecting/)));
  child.kill("SIGUSR2");
  assert.equal(JSON.parse(await errorLine(/SIGUSR2/)).msg, "log level is warn from now on, by SIGUSR2");
  child.kill("SIGTERM");
  const { code, stderr } = await end();
  assert.equal(code, 0);
  const lines = stderr.split("\n");
  const [first, last] = [
    lines.findIndex((line) => /SIGUSR2/.test(line)),
    lines.findLastIndex((line) => /SIGUSR2/.test(line)),
  ];
  assert.ok(lines.slice(first, last).some(isDebug));
  assert.ok(!lines.slice(0, first).some(isDebug) && !lines.slice(last).some(isDebug));
});

test("a daemon that is configured to tell all tells less, and then all again", () => {
  const lines: string[] = [];
  const logger = pino({ level: "trace" }, { write: (text: string) => lines.push(JSON.parse(text).msg) });
  const before = process.listenerCount("SIGUSR2");
  {
    using _switch = new LevelSwitch(logger);
    const levels = [1, 2, 3].map(() => {
      process.emit("SIGUSR2");
      return logger.level;
    });
    assert.deepEqual(levels, ["info", "trace", "info"]);
  }
  assert.equal(logger.level, "trace");
  assert.equal(process.listenerCount("SIGUSR2"), before);
  assert.equal(lines.length, 3);
});
