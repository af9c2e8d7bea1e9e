/** The ASCII bytes of a name, to be compared four at a time. */
export interface WireName {
  readonly name: string;
  readonly length: number;
  /** Big-endian and signed, as they compare fastest; the last ends with the last byte, and may overlap the one before. */
  readonly words: Int32Array;
}

/** `name`: of at least four ASCII characters. */
export function wireName(name: string): WireName {
  const bytes = Buffer.from(name, "latin1");
  const words: number[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += 4) words.push(bytes.readInt32BE(at));
  if (bytes.length % 4 !== 0) words.push(bytes.readInt32BE(bytes.length - 4));
  return { name, length: bytes.length, words: Int32Array.from(words) };
}

/** Whether the bytes at `at` are this name; its length must be there. */
export function isName(view: DataView, at: number, { length, words }: WireName): boolean {
  const last = words.length - 1;
  for (let i = 0; i < last; i++) if (view.getInt32(at + 4 * i) !== words[i]) return false;
  return view.getInt32(at + length - 4) === words[last];
}
