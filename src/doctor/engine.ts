import { connect } from "node:net";
import { Decoder } from "@msgpack/msgpack";
import type { Pod, RankEndpoint } from "../discovery/discovery.ts";
import { DecodeError, KVEventSyncError } from "../errors.ts";
import { decodeEventBatch } from "../events/decode.ts";
import type { BlockStored } from "../events/event.ts";
import { END_OF_REPLAY, encodeReplayRequest, parseLiveMessage, parseReplayMessage } from "../sync/framing.ts";
import type { ConnectionState, Message, Receiver, Transport } from "../transport.ts";
import type { Check, CheckName } from "./check.ts";

/** How long an engine is waited for. */
export interface Patience {
  /** For a TCP connection, a handshake and an answer to a replay. */
  readonly timeoutMs: number;
  /** For the first event. */
  readonly waitMs: number;
}

/** What an engine's checks need. */
export interface EngineParts {
  readonly transport: Transport;
  readonly patience: Patience;
}

/** Blocks of an engine whose tokens are known, for the check of a tokenizer. */
export interface SeenBlocks {
  stored: BlockStored | null;
}

/** Checks one rank of a pod from its ports to its events; what cannot work because of an earlier fault is left out. */
export async function* checkRank(
  { key, topic }: Pod,
  end: RankEndpoint,
  parts: EngineParts,
  seen: SeenBlocks,
): AsyncGenerator<Check> {
  const subject = `${key} rank ${end.rank}`;
  const at = (check: CheckName, status: Check["status"], message: string): Check => ({
    check,
    subject,
    status,
    message,
  });
  const ports = [end.endpoint, ...(end.replayEndpoint === undefined ? [] : [end.replayEndpoint])];
  const reached = await Promise.all(ports.map((endpoint) => reach(endpoint, parts.patience.timeoutMs)));
  for (const [i, problem] of reached.entries()) {
    yield problem === null
      ? at("reachable", "ok", `${ports[i]} takes connections`)
      : at("reachable", "fail", `${ports[i]} ${problem}`);
  }
  if (reached[0] === null) yield* checkEvents(at, end.endpoint, topic, parts, seen);
  if (end.replayEndpoint === undefined) {
    yield at(
      "replay",
      "warn",
      "no replay endpoint: after a lost connection all of its blocks are forgotten; give vLLM a replay_endpoint in --kv-events-config and name it",
    );
  } else if (reached[1] === null) yield await checkReplay(at, end.replayEndpoint, parts, seen);
}

type At = (check: CheckName, status: Check["status"], message: string) => Check;

/** `null` where somebody listens there, or where it is no TCP endpoint. */
function reach(endpoint: string, timeoutMs: number): Promise<string | null> {
  const [, host, port] = /^tcp:\/\/(\[[^\]]+\]|[^:]+):(\d+)$/.exec(endpoint) ?? [];
  if (host === undefined) return Promise.resolve(null);
  return new Promise((resolve) => {
    const socket = connect({ host: host.replace(/^\[|\]$/g, ""), port: Number(port), timeout: timeoutMs });
    const done = (problem: string | null): void => {
      socket.destroy();
      resolve(problem);
    };
    socket.once("connect", () => done(null));
    socket.once("timeout", () =>
      done(
        `does not answer within ${timeoutMs} ms: check the address, and that no firewall or NetworkPolicy is between`,
      ),
    );
    socket.once("error", ({ code, message }: NodeJS.ErrnoException) =>
      done(REASONS[code ?? ""] ?? `cannot be reached: ${message}`),
    );
  });
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses connections: is the engine up, and is this the port of its --kv-events-config?",
  ENOTFOUND: "has a host that no name server knows: check its name",
  EAI_AGAIN: "has a host that no name server answers for: check its name, and DNS",
  EHOSTUNREACH: "has no route: check the address, and that no NetworkPolicy is between",
};

/** A socket that is used once: its messages, and what its connection does. */
class Probe {
  readonly socket: Receiver;
  #settle: (problem: string | null) => void = () => {};
  readonly connected: Promise<string | null>;

  constructor(open: (onConnection: (endpoint: string, state: ConnectionState) => void) => Receiver, timeoutMs: number) {
    this.connected = new Promise((resolve) => {
      const timer = setTimeout(
        () => resolve(`no handshake within ${timeoutMs} ms: does an engine listen there?`),
        timeoutMs,
      );
      this.#settle = (problem) => {
        clearTimeout(timer);
        resolve(problem);
      };
    });
    this.socket = open((_endpoint, state) => {
      if (state.status === "ready") this.#settle(null);
      else if (state.status === "waiting" || state.status === "closed") this.#settle(state.cause?.message ?? "closed");
    });
  }

  /** The first messages that `take` says it has had enough of, or whether the time is over. */
  async read(timeoutMs: number, take: (message: Message) => boolean): Promise<"done" | "timeout"> {
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      for await (const { messages } of this.socket.receive({ signal })) {
        for (const message of messages) if (take(message)) return "done";
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    return "timeout";
  }
}

async function* checkEvents(
  at: At,
  endpoint: string,
  topic: string,
  { transport, patience }: EngineParts,
  seen: SeenBlocks,
): AsyncGenerator<Check> {
  const probe = new Probe((onConnection) => transport.subscriber({ onConnection }), patience.timeoutMs);
  const { socket } = probe;
  try {
    if ("subscribe" in socket) (socket as ReturnType<Transport["subscriber"]>).subscribe(topic);
    socket.connect(endpoint);
    const problem = await probe.connected;
    if (problem !== null) {
      yield at("handshake", "fail", problem);
      return;
    }
    yield at("handshake", "ok", `${endpoint} is a PUB socket that lets us in`);
    yield await firstEvent(at, probe, topic, patience.waitMs, seen);
  } finally {
    await socket.close();
  }
}

async function firstEvent(at: At, probe: Probe, topic: string, waitMs: number, seen: SeenBlocks): Promise<Check> {
  let check: Check | null = null;
  await probe.read(waitMs, (message) => {
    check = describeBatch(at, message, seen);
    return true;
  });
  const under = topic === "" ? "" : ` under topic ${JSON.stringify(topic)}`;
  return (
    check ??
    at(
      "events",
      "warn",
      `no event${under} within ${waitMs} ms: an idle engine publishes none; send it a request meanwhile, or wait longer with --wait`,
    )
  );
}

function describeBatch(at: At, message: Message, seen: SeenBlocks): Check {
  try {
    const { sequence, payload } = parseLiveMessage(message);
    const { batch, errors } = decodeEventBatch(payload);
    remember(seen, payload);
    if (errors.length > 0) return at("events", "fail", `batch ${sequence}: ${errors[0]!.message}`);
    const lateSeconds = Date.now() / 1_000 - batch.ts;
    const clock = Math.abs(lateSeconds) > 60 ? `; its clock differs from ours by ${Math.round(lateSeconds)} s` : "";
    return at("events", "ok", `batch ${sequence} with ${batch.events.length} events, ${encodingOf(payload)}${clock}`);
  } catch (error) {
    if (error instanceof DecodeError || error instanceof KVEventSyncError) return at("events", "fail", error.message);
    throw error;
  }
}

function remember(seen: SeenBlocks, payload: Uint8Array): void {
  for (const event of decodeEventBatch(payload).batch.events) {
    if (event.type === "BlockStored" && event.tokenIds.length > 0 && event.parentBlockHash === null)
      seen.stored = event;
  }
}

/** How the batch is written, and by which engines. */
export function encodingOf(payload: Uint8Array): string {
  const batch: unknown = new Decoder({ useBigInt64: true }).decode(payload);
  const isMap = !Array.isArray(batch);
  const events = isMap ? (batch as { readonly events?: unknown }).events : batch[1];
  const [first] = Array.isArray(events) ? (events as unknown[]) : [];
  if (isMap) return "batch as a map: a vLLM of revision 0181ea3";
  if (first === undefined) return "no events in it, which tells no encoding";
  return Array.isArray(first)
    ? "events as arrays: vLLM before June 2026 (#42892), or SGLang"
    : "events as maps: vLLM 0.24 or later";
}

async function checkReplay(
  at: At,
  endpoint: string,
  { transport, patience }: EngineParts,
  seen: SeenBlocks,
): Promise<Check> {
  const probe = new Probe((onConnection) => transport.dealer({ onConnection }), patience.timeoutMs);
  try {
    probe.socket.connect(endpoint);
    const problem = await probe.connected;
    if (problem !== null) return at("replay", "fail", problem);
    (probe.socket as ReturnType<Transport["dealer"]>).send(encodeReplayRequest(0));
    return await readReplay(at, endpoint, probe, patience.timeoutMs, seen);
  } catch (error) {
    if (error instanceof KVEventSyncError) return at("replay", "fail", error.message);
    throw error;
  } finally {
    await probe.socket.close();
  }
}

async function readReplay(at: At, endpoint: string, probe: Probe, timeoutMs: number, seen: SeenBlocks): Promise<Check> {
  let batches = 0;
  let first = 0;
  let last = 0;
  let frames = 0;
  const outcome = await probe.read(timeoutMs, (message) => {
    const answer = parseReplayMessage(message);
    if (frames === 0) frames = message.length;
    if (answer === END_OF_REPLAY) return true;
    if (batches === 0) first = answer.sequence;
    last = answer.sequence;
    batches++;
    if (seen.stored === null) remember(seen, answer.payload);
    return false;
  });
  const framing =
    frames === 4 ? "with the topic in each answer: vLLM 0.26 or later" : "without topic: vLLM before 0.26, or SGLang";
  const found = batches === 0 ? "has no batches to repeat yet" : `repeats ${batches} batches, ${first} to ${last}`;
  if (outcome === "done") return at("replay", "ok", `${endpoint} ${found}, ${framing}`);
  if (batches > 0)
    return at(
      "replay",
      "warn",
      `${endpoint} ${found} and did not come to its end within ${timeoutMs} ms: it is slow, or drops answers at its high-water mark`,
    );
  return at(
    "replay",
    "fail",
    `${endpoint} lets us in and does not answer within ${timeoutMs} ms: is it the engine's replay_endpoint, and not another ROUTER?`,
  );
}
