import { Registry } from "prom-client";
import { type Clock, systemClock } from "../clock.ts";
import { Turn } from "../sync/turn.ts";
import { textOf } from "./pulled.ts";

/** What is encoded at a time: to flatten and encode megabytes at once would itself take tens of milliseconds. */
const PART_CHARACTERS = 65_536;

/**
 * What a scrape answers, as `registry.metrics()` has it, in UTF-8. A thousand pods are a hundred thousand lines: streams
 * and queries have their turn between them, as they would not with prom-client's own, which takes a quarter of a second.
 */
export async function exposition(registry: Registry, clock: Clock = systemClock): Promise<Uint8Array<ArrayBuffer>> {
  const turn = new Turn(clock);
  const parts: Buffer[] = [];
  let part = "";
  for await (const piece of piecesOf(registry)) {
    part += piece;
    if (part.length >= PART_CHARACTERS) {
      parts.push(Buffer.from(part));
      part = "";
    }
    if (turn.isOver) await turn.next();
  }
  parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

async function* piecesOf(registry: Registry): AsyncGenerator<string, void> {
  if (registry.contentType !== Registry.PROMETHEUS_CONTENT_TYPE || hasDefaultLabels(registry)) {
    yield await registry.metrics();
    return;
  }
  for (const metric of registry.getMetricsAsArray()) {
    const text = textOf(metric);
    if (text === undefined) yield `${await registry.getSingleMetricAsString(metric.name)}\n`;
    else {
      yield `# HELP ${metric.name} ${escaped(metric.help)}\n# TYPE ${metric.name} ${text.type}\n`;
      yield* text.pieces();
    }
    yield "\n";
  }
}

/** Labels that a host gave its registry for all series; prom-client has no other way to tell. */
function hasDefaultLabels(registry: Registry): boolean {
  return Object.keys(Reflect.get(registry, "_defaultLabels") ?? {}).length > 0;
}

function escaped(help: string): string {
  return help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
