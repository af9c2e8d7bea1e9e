import type { LookupFunction } from "node:net";
import { type Clock, systemClock } from "../../src/clock.ts";
import { ConfigurationError } from "../../src/errors.ts";
import type { SocketOptions } from "../../src/transport.ts";
import { Chunks, KEPT_CHUNKS } from "./chunks.ts";
import { ReadTurns } from "./read-turns.ts";
import type { ZmtpSecurity } from "./security.ts";

/** Options of the ZMTP transport; they hold for all of its sockets. Sizes in bytes, times in milliseconds. */
export interface ZmtpOptions {
  /**
   * Who peers have to be, and whether others can read along.
   * @default { mechanism: "NULL" } // what engines speak unless they are told otherwise
   */
  readonly security?: ZmtpSecurity;
  /**
   * Largest message taken, all frames together. A larger one is refused by its header.
   * @default 67_108_864 // 64 MiB: far above any batch of KV events, far below the memory of a gateway
   */
  readonly maxMessageBytes?: number;
  /**
   * Most frames in a message taken.
   * @default 1_024 // engines send three or four
   */
  readonly maxFrames?: number;
  /**
   * Received messages held per socket before its peers are held back, where the socket names no other number.
   * @default 100_000 // as many as vLLM's publisher holds
   */
  readonly receiveHighWaterMark?: number;
  /**
   * Received bytes held per socket, with 100 per frame for what surrounds it.
   * @default 67_108_864 // 64 MiB: a second or so of one busy engine
   */
  readonly receiveHighWaterMarkBytes?: number;
  /**
   * Messages queued per peer before `send` drops or throws, where the socket names no other number.
   * @default 100_000 // as many as vLLM's publisher holds
   */
  readonly sendHighWaterMark?: number;
  /**
   * Bytes queued per peer before `send` drops or throws.
   * @default 67_108_864 // 64 MiB
   */
  readonly sendHighWaterMarkBytes?: number;
  /**
   * Time for TCP to connect, host name included.
   * @default 5_000 // the system's own limit is minutes
   */
  readonly connectTimeoutMs?: number;
  /**
   * Time for a peer to finish its handshake, on either side.
   * @default 5_000 // it takes two round trips
   */
  readonly handshakeTimeoutMs?: number;
  /**
   * First delay before a lost or refused connection is tried again; doubles at each failure. All delays are cut at
   * random by up to a half.
   * @default 100 // an engine that restarts is found as soon as it listens
   */
  readonly reconnectMinMs?: number;
  /**
   * Longest such delay.
   * @default 30_000 // a pod that comes back is found within half a minute, hundreds that are gone cost nothing
   */
  readonly reconnectMaxMs?: number;
  /**
   * First delay after a peer that broke the protocol, is of another kind or refused us; doubles as above.
   * @default 10_000 // it will not get better by itself, but a rollout may repair it
   */
  readonly protocolRetryMs?: number;
  /**
   * Time that a connection has to stay ready before the next loss starts from `reconnectMinMs` again.
   * @default 10_000 // a peer that accepts and closes in a loop is still backed off from
   */
  readonly stableAfterMs?: number;
  /**
   * Silence after which a peer is asked for a sign of life; 0 never asks.
   * @default 5_000 // a dead node says nothing, and TCP would wait for hours
   */
  readonly heartbeatIntervalMs?: number;
  /**
   * Further silence that ends the connection.
   * @default 15_000 // longer than the pauses of a busy engine
   */
  readonly heartbeatTimeoutMs?: number;
  /**
   * Connections that a bound socket holds in their handshake at a time.
   * @default 1_024 // all gateways of a fleet may come back at once; each costs a few KiB
   */
  readonly maxPendingHandshakes?: number;
  /**
   * Connections that one bound endpoint holds.
   * @default 10_000 // below the usual limit of open files
   */
  readonly maxConnections?: number;
  /**
   * Memory that the subscriptions of one peer may take at a publisher, with 200 bytes per topic for what surrounds it.
   * @default 16_777_216 // 16 MiB: some 80,000 short topics
   */
  readonly maxSubscriptionBytes?: number;
  /**
   * Time that closing waits for peers to take what was sent.
   * @default 200 // a healthy peer needs a few milliseconds, a dead one must not hold up an exit
   */
  readonly lingerMs?: number;
  /** Resolves host names, at each attempt anew. @default the system's resolver */
  readonly lookup?: LookupFunction;
  /** @default the machine's clock */
  readonly clock?: Clock;
  /** In [0, 1), for the jitter of delays. @default Math.random */
  readonly random?: () => number;
}

/** `ZmtpOptions` with every default in place. What `security` holds is secret, and known to mechanisms alone. */
export type ResolvedOptions = Readonly<Required<Omit<ZmtpOptions, "lookup" | "security">>> &
  Pick<ZmtpOptions, "lookup"> & {
    /** Of all connections that these options are for. */
    readonly readTurns: ReadTurns;
    /** What these connections read into, of all sockets that let it be used again. */
    readonly chunks: Chunks;
  };

type NumericOption = Exclude<keyof ZmtpOptions, "lookup" | "security" | "clock" | "random">;

const DEFAULTS: Readonly<Record<NumericOption, number>> = {
  maxMessageBytes: 67_108_864,
  maxFrames: 1_024,
  receiveHighWaterMark: 100_000,
  receiveHighWaterMarkBytes: 67_108_864,
  sendHighWaterMark: 100_000,
  sendHighWaterMarkBytes: 67_108_864,
  connectTimeoutMs: 5_000,
  handshakeTimeoutMs: 5_000,
  reconnectMinMs: 100,
  reconnectMaxMs: 30_000,
  protocolRetryMs: 10_000,
  stableAfterMs: 10_000,
  heartbeatIntervalMs: 5_000,
  heartbeatTimeoutMs: 15_000,
  maxPendingHandshakes: 1_024,
  maxConnections: 10_000,
  maxSubscriptionBytes: 16_777_216,
  lingerMs: 200,
};

/** Options that switch something off, or make it immediate, when they are 0. */
const MAY_BE_ZERO: ReadonlySet<string> = new Set(["stableAfterMs", "heartbeatIntervalMs", "lingerMs"]);

/** The longest delay that a timer takes; beyond it Node fires at once. */
const MAX_TIMER_MS = 2_147_483_647;

/** Fills in the defaults. Throws ConfigurationError `invalid-option` for a number that cannot be used. */
export function resolveOptions(options: ZmtpOptions = {}): ResolvedOptions {
  const numbers = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS) as NumericOption[]) {
    const value = options[name] ?? DEFAULTS[name];
    const highest = name.endsWith("Ms") ? MAX_TIMER_MS : Number.MAX_SAFE_INTEGER;
    numbers[name] = checkInteger(name, value, MAY_BE_ZERO.has(name) ? 0 : 1, highest);
  }
  if (numbers.reconnectMaxMs < numbers.reconnectMinMs) {
    throw new ConfigurationError(
      "invalid-option",
      `zmtp: reconnectMaxMs ${numbers.reconnectMaxMs} is below reconnectMinMs ${numbers.reconnectMinMs}; raise it`,
    );
  }
  return {
    ...numbers,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
    readTurns: new ReadTurns(),
    chunks: new Chunks(KEPT_CHUNKS),
    ...(options.lookup && { lookup: options.lookup }),
  };
}

/** The transport's options with the high-water marks that this socket asked for. Throws as `resolveOptions`. */
export function withSocketOptions(options: ResolvedOptions, socket: SocketOptions): ResolvedOptions {
  const mark = (name: keyof SocketOptions & NumericOption): number =>
    checkInteger(name, socket[name] ?? options[name], 1, Number.MAX_SAFE_INTEGER);
  return {
    ...options,
    receiveHighWaterMark: mark("receiveHighWaterMark"),
    receiveHighWaterMarkBytes: mark("receiveHighWaterMarkBytes"),
    sendHighWaterMark: mark("sendHighWaterMark"),
    sendHighWaterMarkBytes: mark("sendHighWaterMarkBytes"),
    chunks: socket.reusesMemory === true ? options.chunks : new Chunks(0),
  };
}

function checkInteger(name: string, value: number, lowest: number, highest: number): number {
  if (Number.isInteger(value) && value >= lowest && value <= highest) return value;
  throw new ConfigurationError(
    "invalid-option",
    `zmtp: ${name} is ${value}; it has to be a whole number from ${lowest} to ${highest}`,
  );
}
