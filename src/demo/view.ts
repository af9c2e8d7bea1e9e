import type { StreamStatus } from "../sync/status.ts";
import type { Line, Span, Style } from "./text.ts";

/** One engine in the live view. */
export interface PodRow {
  readonly name: string;
  readonly status: StreamStatus;
  /** Of the last batch applied. */
  readonly lastSequence: number | null;
  /** Of the last batch that the engine published; −1: none yet, `null`: the engine is down. */
  readonly publishedSequence: number | null;
  readonly indexBlocks: number;
  /** `null`: the engine is down. */
  readonly engineBlocks: number | null;
  readonly eventsPerSecond: number;
  readonly replays: number;
  readonly restarts: number;
}

/** Something that happened. */
export interface Happening {
  /** Since the start of the demo. */
  readonly seconds: number;
  readonly subject: string;
  readonly text: string;
}

/** All that the live view shows. */
export interface DemoFrame {
  readonly seconds: number;
  readonly totalSeconds: number;
  readonly phase: string;
  readonly pods: readonly PodRow[];
  readonly happenings: readonly Happening[];
}

/** Begins what the demo itself does to an engine. */
export const DEED = "» ";
const BAR_COLUMNS = 20;
/** The frame keeps its height, so that it can be drawn over itself. */
const HAPPENING_LINES = 8;
const STATUS_STYLES: Readonly<Record<StreamStatus, Style>> = {
  connecting: "red",
  "catching-up": "yellow",
  live: "green",
  partial: "cyan",
};
const COLUMNS: readonly [title: string, width: number][] = [
  ["POD", -10],
  ["STATE", -12],
  ["SEQUENCE", 11],
  ["BLOCKS", 12],
  ["EVENTS/S", 10],
  ["REPLAYS", 9],
  ["RESTARTS", 10],
];

/** The live view: always as many lines for as many pods, none wider than 80 columns. */
export function renderFrame(frame: DemoFrame): readonly Line[] {
  const { seconds, totalSeconds, phase, pods, happenings } = frame;
  const latest = happenings.slice(-HAPPENING_LINES);
  const unused = Array.from({ length: HAPPENING_LINES - latest.length }, (): Line => []);
  return [
    [
      { text: "kv-event-sync demo  ", style: "bold" },
      ...bar(seconds / totalSeconds, BAR_COLUMNS),
      { text: `  ${phase}` },
    ],
    [{ text: "Engines tell over ZeroMQ which blocks their caches hold; the index follows.", style: "dim" }],
    [],
    ...renderTable(pods),
    [],
    ...latest.map(renderHappening),
    ...unused,
  ];
}

/** The pods, as they are in the frame. */
export function renderTable(pods: readonly PodRow[]): readonly Line[] {
  return [
    row(COLUMNS.map(([text]) => ({ text, style: "dim" }))),
    ...pods.map((pod) =>
      row([
        { text: pod.name },
        { text: pod.status, style: STATUS_STYLES[pod.status] },
        { text: pair(pod.lastSequence, pod.publishedSequence) },
        { text: pair(pod.indexBlocks, pod.engineBlocks) },
        { text: String(Math.round(pod.eventsPerSecond)) },
        { text: String(pod.replays) },
        { text: String(pod.restarts) },
      ]),
    ),
    [{ text: "  sequence and blocks: in the index / in the engine", style: "dim" }],
  ];
}

/** A line of its own, wherever there is no live view. */
export function renderHappening({ seconds, subject, text }: Happening): Line {
  return [
    { text: `${seconds.toFixed(1).padStart(6)} s  `, style: "dim" },
    { text: subject.padEnd(10) },
    text.startsWith(DEED) ? { text, style: "bold" } : { text },
  ];
}

/** Filled in proportion to `share`, 0 to 1. */
export function bar(share: number, columns: number): Line {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * columns);
  return [
    { text: "█".repeat(filled), style: "green" },
    { text: "░".repeat(columns - filled), style: "dim" },
  ];
}

function row(cells: readonly Span[]): Line {
  const padded = cells.map(({ text, ...style }, column) => {
    const width = COLUMNS[column]![1];
    return { text: width < 0 ? `${shorten(text, -width - 1).padEnd(-width)}` : text.padStart(width), ...style };
  });
  return [{ text: "  " }, ...padded];
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** What the index has, and what the engine has. */
function pair(index: number | null, engine: number | null): string {
  const known = index === null || index < 0 ? "–" : String(index);
  const truth = engine === null ? "down" : engine < 0 ? "–" : String(engine);
  return `${known}/${truth}`;
}
