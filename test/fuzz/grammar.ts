import { commandBody, encodeMetadata } from "../../transports/zmtp/commands.ts";
import type { SocketType } from "../../transports/zmtp/mechanism.ts";
import { COMMAND, LONG, MORE } from "../../transports/zmtp/wire.ts";
import { bytes, frame, greeting } from "../transports/zmtp/support.ts";
import type { Generator } from "./generator.ts";

export const SOCKET_TYPES: readonly SocketType[] = ["SUB", "PUB", "DEALER", "ROUTER"];

const PARTNER: Readonly<Record<SocketType, string>> = { SUB: "PUB", PUB: "SUB", DEALER: "ROUTER", ROUTER: "DEALER" };
const ALL_TYPES = ["PUB", "SUB", "XPUB", "XSUB", "DEALER", "ROUTER", "REQ", "REP", "PUSH", "pub", "", "P\0B"] as const;
const NAMES = [
  "READY",
  "HELLO",
  "WELCOME",
  "INITIATE",
  "ERROR",
  "MESSAGE",
  "PING",
  "PONG",
  "SUBSCRIBE",
  "CANCEL",
] as const;

/** Sizes that a LONG header may claim, and nobody should believe. */
const CLAIMS = [
  0n,
  1n,
  255n,
  256n,
  8_193n,
  65_537n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** A greeting that is mostly right. */
export function anyGreeting(generator: Generator, mechanism: string): Buffer {
  const isUsual = generator.chance(0.85);
  const data = isUsual
    ? greeting(3, generator.below(3), mechanism)
    : greeting(generator.below(5), generator.below(4), generator.pick(["NULL", "PLAIN", "CURVE", "GSSAPI", ""]));
  if (generator.chance(0.2)) data[8] = 1;
  if (generator.chance(0.05)) data.fill(generator.below(256), 33);
  return data;
}

/** READY's or INITIATE's properties, for a peer of `ours`. */
export function anyMetadata(generator: Generator, ours: SocketType): Buffer {
  const properties: [string, Uint8Array][] = [];
  if (generator.chance(0.95)) {
    const name = generator.pick(["Socket-Type", "Socket-Type", "socket-type", "SOCKET-TYPE"]);
    properties.push([name, bytes(generator.chance(0.85) ? PARTNER[ours] : generator.pick(ALL_TYPES))]);
  }
  if (generator.chance(0.4)) properties.push(["Identity", generator.bytes(generator.length(300))]);
  if (generator.chance(0.15)) {
    properties.push([
      `X-${generator.below(3)}`.repeat(1 + generator.below(40)),
      generator.bytes(generator.length(600)),
    ]);
  }
  const data = Buffer.from(encodeMetadata(properties));
  return generator.chance(0.15) ? generator.mutated(data) : data;
}

export function commandFrame(generator: Generator, name: string, data: Uint8Array): Buffer {
  const flags = generator.chance(0.97) ? COMMAND : generator.below(256) & ~LONG;
  return frame(flags, commandBody(name, data), generator.chance(0.1) || 1 + name.length + data.length > 255);
}

/** Whatever follows a handshake, or comes instead of it. */
export function anyTraffic(generator: Generator): Buffer {
  return Buffer.concat(generator.many(0, 8, () => anyFrame(generator)));
}

/** The flags and the body of a frame of any kind. */
export function anyContent(generator: Generator): { readonly flags: number; readonly body: Uint8Array } {
  if (generator.chance(0.5)) {
    const body = generator.chance(0.3)
      ? Buffer.concat([Buffer.of(generator.below(2)), generator.bytes(generator.length(20))])
      : generator.bytes(generator.length(700));
    return { flags: generator.chance(0.4) ? MORE : 0, body };
  }
  const name = generator.chance(0.9) ? generator.pick(NAMES) : "X".repeat(generator.length(255));
  return { flags: COMMAND, body: commandBody(name, commandData(generator, name)) };
}

function anyFrame(generator: Generator): Buffer {
  if (generator.chance(0.04)) {
    const header = Buffer.alloc(9, generator.pick([2, 3, 6, 7]));
    header.fill(0, 1);
    header.writeBigUInt64BE(generator.pick(CLAIMS), 1);
    return header;
  }
  const { flags, body } = anyContent(generator);
  return frame(flags, body, body.length > 255 || generator.chance(0.1));
}

function commandData(generator: Generator, name: string): Uint8Array {
  switch (name) {
    case "PING":
      return generator.bytes(generator.chance(0.9) ? 2 + generator.length(60) : generator.below(2));
    case "ERROR":
      return Buffer.concat([Buffer.of(generator.length(255)), generator.bytes(generator.length(255))]);
    case "READY":
    case "INITIATE":
      return anyMetadata(generator, generator.pick(SOCKET_TYPES));
    default:
      return generator.bytes(generator.length(300));
  }
}

/** Name and password, each behind its length. */
export function plainHello(generator: Generator): Buffer {
  const counted = (): Buffer => {
    const text = generator.bytes(generator.length(255));
    return Buffer.concat([Buffer.of(text.length), text]);
  };
  const data = Buffer.concat([counted(), counted()]);
  return generator.chance(0.15) ? generator.mutated(data) : data;
}
