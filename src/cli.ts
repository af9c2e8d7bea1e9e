#!/usr/bin/env node
import { createRequire } from "node:module";
import { Command } from "commander";
import { demoCommand } from "./cli/demo.ts";
import { fail } from "./cli/fail.ts";
import { keygenCommand } from "./cli/keygen.ts";
import { queryCommand } from "./cli/query.ts";
import { serveCommand } from "./cli/serve.ts";
import { simulateCommand } from "./cli/simulate.ts";

const { version } = createRequire(import.meta.url)("kv-event-sync/package.json") as { readonly version: string };

const program = new Command("kv-event-sync")
  .description("Knows which inference engine holds which KV-cache blocks, from its events over ZeroMQ.")
  .version(version)
  .showHelpAfterError("(--help tells what there is)")
  .addCommand(serveCommand())
  .addCommand(queryCommand())
  .addCommand(simulateCommand())
  .addCommand(demoCommand())
  .addCommand(keygenCommand());

try {
  await program.parseAsync();
} catch (error) {
  fail(error);
}
