import assert from "node:assert/strict";
import { TransportError } from "../../../src/errors.ts";
import { encodeMetadata } from "../../../transports/zmtp/commands.ts";
import { Handshake, type HandshakeStep } from "../../../transports/zmtp/handshake.ts";
import type { MechanismFactory, SocketType } from "../../../transports/zmtp/mechanism.ts";
import { encodeFrame, LONG } from "../../../transports/zmtp/wire.ts";
import { bytes, text } from "./support.ts";

export function handshakeOf(mechanism: MechanismFactory, socketType: SocketType, identity?: string): Handshake {
  const properties: [string, Uint8Array][] = [["Socket-Type", bytes(socketType)]];
  if (identity !== undefined) properties.push(["Identity", bytes(identity)]);
  return new Handshake(mechanism(encodeMetadata(properties)), socketType);
}

/** Two handshakes, and what passed between them. */
export interface Exchange {
  /** How each side's handshake ended; absent where it still waits. */
  client?: HandshakeStep;
  server?: HandshakeStep;
  /** Every frame after the greetings, in order. */
  readonly frames: { readonly from: "client" | "server"; readonly frame: Uint8Array }[];
}

/** Changes a frame on its way; `index` counts all frames. */
export type Tamper = (frame: Uint8Array, index: number, from: "client" | "server") => Uint8Array;

/** Lets two sides talk until both are done, one fails, or both wait. */
export async function converse(
  client: Handshake,
  server: Handshake,
  tamper: Tamper = (frame) => frame,
): Promise<Exchange> {
  const exchange: Exchange = { frames: [] };
  const sides = { client, server };
  const queue: { readonly to: "client" | "server"; readonly data: Uint8Array }[] = [
    { to: "client", data: server.opening() },
    { to: "server", data: client.opening() },
  ];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const from = next.to;
    const to = from === "client" ? "server" : "client";
    if (exchange[from] !== undefined) continue;
    let step = sides[from].push(next.data);
    const send = [...step.send];
    if (step.pending !== undefined) {
      step = sides[from].resume(await step.pending("10.0.0.7"));
      send.push(...step.send);
    }
    for (const frame of send) {
      const index = exchange.frames.length;
      exchange.frames.push({ from, frame });
      queue.push({ to, data: tamper(frame, index, from) });
    }
    if (step.done !== undefined || step.failure !== undefined) exchange[from] = step;
  }
  return exchange;
}

/** The names of the commands that passed, without the frames' headers. */
export const names = ({ frames }: Exchange): string[] =>
  frames.map(({ from, frame }) => {
    const body = bodyOf(frame);
    return `${from} ${text(body.subarray(1, 1 + body[0]!))}`;
  });

/** A frame's body. */
export function bodyOf(frame: Uint8Array): Uint8Array {
  return frame.subarray((frame[0]! & LONG) === 0 ? 2 : 9);
}

/** Asserts that a handshake ended with such an error; `code` is a pattern. */
export function assertFailed(step: HandshakeStep | undefined, code: string, words: RegExp): void {
  const failure = step?.failure;
  assert.ok(failure instanceof TransportError, `no failure but ${JSON.stringify(step)}`);
  assert.match(failure.code, new RegExp(`^${code}$`), failure.message);
  assert.match(failure.message, words);
}

/** A frame with another body. */
export function reframed(frame: Uint8Array, body: Uint8Array): Uint8Array {
  return encodeFrame(frame[0]! & ~LONG, body);
}

/** The frame with one byte of its body changed. */
export function flipped(frame: Uint8Array, place: number): Uint8Array {
  const body = Uint8Array.from(bodyOf(frame));
  body[place]! ^= 1;
  return reframed(frame, body);
}
