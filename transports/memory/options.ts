import { ConfigurationError } from "../../src/errors.ts";
import type { SocketOptions } from "../../src/transport.ts";
import type { MemoryNetwork, MemoryNetworkOptions } from "./network.ts";

/** Options of the memory transport; they hold for all of its sockets. Times in milliseconds. */
export interface MemoryOptions extends MemoryNetworkOptions {
  /** The network to be part of, with its clock and its randomness. @default one of its own */
  readonly network?: MemoryNetwork;
  /**
   * Received messages held per socket before its peers are held back, where the socket names no other number.
   * @default 100_000 // as many as vLLM's publisher holds
   */
  readonly receiveHighWaterMark?: number;
  /** Received bytes held per socket. @default 67_108_864 // 64 MiB: a second or so of one busy engine */
  readonly receiveHighWaterMarkBytes?: number;
  /**
   * Messages sent to a peer which it has not taken, before `send` drops or throws.
   * @default 100_000 // as many as vLLM's publisher holds
   */
  readonly sendHighWaterMark?: number;
  /** Such bytes. @default 67_108_864 // 64 MiB */
  readonly sendHighWaterMarkBytes?: number;
  /**
   * First delay before a lost or refused connection is tried again; doubles at each failure. All delays are cut at
   * random by up to a half.
   * @default 10 // in one process a peer is back soon or never
   */
  readonly reconnectMinMs?: number;
  /** Longest such delay. @default 1_000 // an attempt costs next to nothing here */
  readonly reconnectMaxMs?: number;
  /** Time that closing waits for peers to take what was sent; 0 loses it. @default 200 */
  readonly lingerMs?: number;
}

type NumericOption = Exclude<keyof MemoryOptions, "network" | "clock" | "random">;

/** `MemoryOptions` with every default in place. */
export type ResolvedOptions = Readonly<Record<NumericOption, number>>;

const DEFAULTS: ResolvedOptions = {
  receiveHighWaterMark: 100_000,
  receiveHighWaterMarkBytes: 67_108_864,
  sendHighWaterMark: 100_000,
  sendHighWaterMarkBytes: 67_108_864,
  reconnectMinMs: 10,
  reconnectMaxMs: 1_000,
  lingerMs: 200,
};

/** Fills in the defaults. Throws ConfigurationError `invalid-option` for a number that cannot be used. */
export function resolveOptions(options: MemoryOptions): ResolvedOptions {
  const numbers = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS) as NumericOption[]) {
    numbers[name] = check(name, options[name] ?? DEFAULTS[name], name === "lingerMs" ? 0 : 1);
  }
  check("reconnectMaxMs", numbers.reconnectMaxMs, numbers.reconnectMinMs);
  return numbers;
}

/** The transport's options with the high-water marks that this socket asked for. Throws as `resolveOptions`. */
export function withSocketOptions(options: ResolvedOptions, socket: SocketOptions): ResolvedOptions {
  const mark = (name: keyof SocketOptions & NumericOption): number => check(name, socket[name] ?? options[name], 1);
  return {
    ...options,
    receiveHighWaterMark: mark("receiveHighWaterMark"),
    receiveHighWaterMarkBytes: mark("receiveHighWaterMarkBytes"),
    sendHighWaterMark: mark("sendHighWaterMark"),
    sendHighWaterMarkBytes: mark("sendHighWaterMarkBytes"),
  };
}

function check(name: string, value: number, lowest: number): number {
  if (Number.isSafeInteger(value) && value >= lowest) return value;
  throw new ConfigurationError(
    "invalid-option",
    `memory: ${name} is ${value}; it has to be a whole number from ${lowest}`,
  );
}
