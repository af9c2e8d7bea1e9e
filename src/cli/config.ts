import type { Command } from "commander";
import { type EffectiveOption, effectiveOptions, environmentSource, resolveOptions } from "../options.ts";
import { serveCommand, serveSources } from "./serve.ts";
import { formatTable } from "./table.ts";

type Flags = Parameters<typeof serveSources>[0] & { readonly json?: boolean };

/** `kv-event-sync config`: takes the options of `serve`, and shows what holds and who said so. */
export function configCommand(): Command {
  return serveCommand()
    .name("config")
    .description("Shows what serve would run with, and where each value comes from; secrets stay hidden.")
    .option("--json", "print JSON, as when piped: { options, warnings }")
    .action((flags: Flags) => showConfig(flags));
}

function showConfig({ json, ...flags }: Flags): void {
  const sources = serveSources(flags as Parameters<typeof serveSources>[0], environmentSource());
  const options = effectiveOptions(sources);
  const { warnings } = resolveOptions(sources);
  if (json === true || process.stdout.isTTY !== true) {
    process.stdout.write(`${JSON.stringify({ options, warnings })}\n`);
    return;
  }
  const rows = options.map((option) => [option.option, shown(option), option.source]);
  process.stdout.write(formatTable([["OPTION", "VALUE", "FROM"], ...rows]));
  for (const warning of warnings) process.stdout.write(`\n${warning}\n`);
}

function shown({ value }: EffectiveOption): string {
  if (value === null) return "-";
  return typeof value === "string" ? value || '""' : JSON.stringify(value);
}
