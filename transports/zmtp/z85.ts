/** Z85 (RFC 32 of ZeroMQ): 85 characters that survive quotes, files and command lines, each worth its place here. */
const ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

const VALUES: ReadonlyMap<string, number> = new Map([...ALPHABET].map((character, value) => [character, value]));

/** Five characters for every four bytes. The number of bytes must be a multiple of four: keys have 32. */
export function encodeZ85(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = "";
  for (let offset = 0; offset < bytes.length; offset += 4) {
    const value = view.getUint32(offset);
    for (let divisor = 85 ** 4; divisor >= 1; divisor /= 85) text += ALPHABET[Math.floor(value / divisor) % 85];
  }
  return text;
}

/** The bytes, or `null` where the text is not Z85: its length, a character, or a group that is worth more than 2^32. */
export function decodeZ85(text: string): Uint8Array | null {
  if (text.length % 5 !== 0) return null;
  const bytes = new Uint8Array((text.length / 5) * 4);
  const view = new DataView(bytes.buffer);
  for (let group = 0; group * 5 < text.length; group += 1) {
    let value = 0;
    for (let i = group * 5; i < group * 5 + 5; i += 1) value = value * 85 + (VALUES.get(text[i]!) ?? Number.NaN);
    if (!(value <= 0xffff_ffff)) return null;
    view.setUint32(group * 4, value);
  }
  return bytes;
}
