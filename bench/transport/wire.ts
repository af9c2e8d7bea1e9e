/** ZMTP 3.1 as bytes, for peers that are no implementation of it. */

export const GREETING_BYTES = 64;

/** NULL mechanism. */
export const GREETING: Uint8Array = Buffer.concat([
  Buffer.from("ff00000000000000007f0301", "hex"),
  Buffer.from("NULL".padEnd(20, "\0")),
  Buffer.alloc(32),
]);

/** One frame: 1 in `flags` for another one after it, 4 for a command. */
export function frame(flags: number, body: Uint8Array): Uint8Array {
  if (body.length < 256) return Buffer.concat([Buffer.from([flags, body.length]), body]);
  const header = Buffer.alloc(9);
  header[0] = flags | 2;
  header.writeBigUInt64BE(BigInt(body.length), 1);
  return Buffer.concat([header, body]);
}

function ready(socketType: string): Uint8Array {
  const value = Buffer.from(socketType);
  const property = Buffer.concat([Buffer.from("\x0bSocket-Type"), Buffer.from([0, 0, 0, value.length]), value]);
  return frame(4, Buffer.concat([Buffer.from("\x05READY"), property]));
}

export const READY_PUB: Uint8Array = ready("PUB");
export const READY_SUB: Uint8Array = ready("SUB");
export const SUBSCRIBE_ALL: Uint8Array = frame(4, Buffer.from("\x09SUBSCRIBE"));

/** Bytes of one message on the wire: an empty topic, a sequence of 8 bytes, a payload. */
export function encodedMessage(payloadBytes: number): Uint8Array {
  const payload = Buffer.alloc(payloadBytes, 0x5a);
  return Buffer.concat([frame(1, Buffer.alloc(0)), frame(1, Buffer.alloc(8, 1)), frame(0, payload)]);
}

/** As many of them as fit into so many bytes, one at least. */
export function encodedMessages(payloadBytes: number, bytes: number): Uint8Array {
  const one = encodedMessage(payloadBytes);
  return Buffer.concat(Array.from({ length: Math.max(1, Math.floor(bytes / one.length)) }, () => one));
}
