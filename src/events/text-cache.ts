/** Longest text that is kept: tiers and kinds are short, and adapters as a rule. */
const MAX_KEPT_BYTES = 64;
/** Texts that share a place take turns. */
const PLACES = 256;

interface KnownText {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/**
 * Strings by their bytes, so that the same few need not be made for each event. ASCII alone. What comes twice in a row at
 * its place is kept: salts that never come again push nothing out, and cost no copy.
 */
export class TextCache {
  readonly #known: (KnownText | undefined)[] = new Array<undefined>(PLACES).fill(undefined);
  /** Of the text that was made last for a place. */
  readonly #digests = new Int32Array(PLACES);

  /** The text in these bytes; `null` where they are not ASCII. */
  read(bytes: Buffer, start: number, length: number): string | null {
    if (length === 0) return "";
    const place = (length + 31 * bytes[start]! + 7 * bytes[start + length - 1]!) & (PLACES - 1);
    const known = this.#known[place];
    if (known !== undefined && isSame(known.bytes, bytes, start, length)) return known.text;
    return this.#make(bytes, start, length, place);
  }

  #make(bytes: Buffer, start: number, length: number, place: number): string | null {
    const end = start + length;
    let digest = length;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte >= 0x80) return null;
      digest = Math.imul(digest ^ byte, 0x0100_0193);
    }
    const text = bytes.toString("latin1", start, end);
    if (length <= MAX_KEPT_BYTES && this.#digests[place] === digest) {
      this.#known[place] = { bytes: Uint8Array.from(bytes.subarray(start, end)), text };
    }
    this.#digests[place] = digest;
    return text;
  }
}

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (known.length !== length) return false;
  for (let i = 0; i < length; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}
