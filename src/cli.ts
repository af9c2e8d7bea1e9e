#!/usr/bin/env node
import { createRequire } from "node:module";
import { Command } from "commander";
import { fail } from "./cli/fail.ts";

/** In the order of the help. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./cli/serve.ts")).serveCommand(),
  gateway: async () => (await import("./cli/gateway.ts")).gatewayCommand(),
  config: async () => (await import("./cli/config.ts")).configCommand(),
  doctor: async () => (await import("./cli/doctor.ts")).doctorCommand(),
  query: async () => (await import("./cli/query.ts")).queryCommand(),
  record: async () => (await import("./cli/record.ts")).recordCommand(),
  replay: async () => (await import("./cli/replay.ts")).replayCommand(),
  inspect: async () => (await import("./cli/inspect.ts")).inspectCommand(),
  simulate: async () => (await import("./cli/simulate.ts")).simulateCommand(),
  demo: async () => (await import("./cli/demo.ts")).demoCommand(),
  keygen: async () => (await import("./cli/keygen.ts")).keygenCommand(),
};

const { version } = createRequire(import.meta.url)("kv-event-sync/package.json") as { readonly version: string };

const program = new Command("kv-event-sync")
  .description("Knows which inference engine holds which KV-cache blocks, from its events over ZeroMQ.")
  .version(version)
  .showHelpAfterError("(--help tells what there is)");

// Whoever reads may stop reading, as `head` does; what is left to be said is then of no use.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") fail(error);
});

try {
  const [first = ""] = process.argv.slice(2);
  // A command loads what it needs; the help and a mistake need all of them.
  const names = Object.hasOwn(COMMANDS, first) ? [first] : Object.keys(COMMANDS);
  for (const name of names) {
    const command = await COMMANDS[name]!();
    program.addCommand(command.copyInheritedSettings(program));
  }
  await program.parseAsync();
} catch (error) {
  fail(error);
}
