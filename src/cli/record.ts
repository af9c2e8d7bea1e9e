import { createRequire } from "node:module";
import type { Command } from "commander";
import { createStore } from "../container.ts";
import { ConfigurationError } from "../errors.ts";
import { type DaemonOptions, environmentSource } from "../options.ts";
import { RecordingWriter } from "../recording/file.ts";
import { Recorder } from "../recording/recorder.ts";
import { serveCommand, serveOptions } from "./serve.ts";
import { StopSignal } from "./stop-signal.ts";

type Flags = Parameters<typeof serveOptions>[0] & { readonly out?: string; readonly seconds?: string };

/** A file that is being recorded. Disposing resolves when all is written. */
export interface OpenRecording extends AsyncDisposable {
  readonly recorder: Recorder;
  readonly writer: RecordingWriter;
}

/** Goes on with a recording, or begins one; says with which options, for they decide what streams do. */
export async function openRecording(path: string, { streams, index }: DaemonOptions): Promise<OpenRecording> {
  const writer = await RecordingWriter.open(path);
  const { version } = createRequire(import.meta.url)("kv-event-sync/package.json") as { readonly version: string };
  writer.write({ kind: "session", socket: 0, timeMs: Date.now(), json: { version, streams, index } });
  return {
    writer,
    recorder: new Recorder(writer),
    [Symbol.asyncDispose]: () => writer[Symbol.asyncDispose](),
  };
}

/** `kv-event-sync record`: takes the options of `serve`, answers nobody, and writes down what engines send. */
export function recordCommand(): Command {
  return serveCommand()
    .name("record")
    .description("Follows engines as serve does, and writes all that they send to a file, for replay and inspect.")
    .requiredOption("--out <file>", "appended to where it is there")
    .option("--seconds <count>", "end by itself after so long")
    .action((flags: Flags) => record(flags));
}

async function record({ out = "", seconds, ...flags }: Flags): Promise<void> {
  const { record: _record, ...serveFlags } = flags as typeof flags & { readonly record?: string };
  const options = serveOptions(serveFlags as Parameters<typeof serveOptions>[0], environmentSource());
  using stop = new StopSignal(secondsOf(seconds));
  await using recording = await openRecording(out, options);
  const { transport, security, connections, endpoints, kubernetes, index, streams } = options;
  await using store = await createStore({
    transport,
    ...(security !== undefined && { security }),
    connections,
    endpoints,
    ...(kubernetes !== undefined && { kubernetes }),
    index,
    streams,
    recorder: recording.recorder,
  });
  const { writer } = recording;
  const tell = (): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r${writer.records} records, ${store.pods().length} pods`);
  };
  const timer = setInterval(tell, 500);
  try {
    await store.initKVEventSync({ signal: stop.signal });
    if (store.startError !== null) throw store.startError;
    await stop.stopped;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    clearInterval(timer);
  }
  await store.close();
  const lost = writer.dropped > 0 ? `, ${writer.dropped} lost because the disk was slow` : "";
  process.stderr.write(`${process.stderr.isTTY ? "\n" : ""}${writer.records} records in ${out}${lost}\n`);
}

function secondsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (seconds > 0) return seconds;
  throw new ConfigurationError("invalid-option", `--seconds is ${JSON.stringify(text)}: use a number above 0`);
}
