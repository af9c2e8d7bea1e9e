/** A text of up to 31 ASCII characters as MessagePack writes it, its head included, to be compared four bytes at a time. */
export interface WireName {
  readonly name: string;
  /** Bytes, with the head. */
  readonly length: number;
  /** Little-endian and signed, as they compare fastest; the last one holds zeros behind the text. */
  readonly words: Int32Array;
  /** Ones where the last word holds bytes of the text. */
  readonly lastMask: number;
}

/** `name`: up to 31 ASCII characters. */
export function wireName(name: string): WireName {
  const bytes = Buffer.alloc(4 * Math.ceil((name.length + 1) / 4));
  bytes[0] = 0xa0 | name.length;
  bytes.write(name, 1, "latin1");
  const words = Int32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readInt32LE(4 * i));
  const unused = bytes.length - name.length - 1;
  return { name, length: name.length + 1, words, lastMask: -1 >>> (8 * unused) };
}

/** Whether this text begins at `at`. Up to three bytes behind it are read, and do not matter. */
export function isName(view: DataView, at: number, { words, lastMask }: WireName): boolean {
  const last = words.length - 1;
  for (let i = 0; i < last; i++) if (view.getInt32(at + 4 * i, true) !== words[i]) return false;
  return ((view.getInt32(at + 4 * last, true) ^ words[last]!) & lastMask) === 0;
}
