/** Longest text that is kept: tiers and kinds are short, and adapters as a rule. */
const MAX_KEPT_BYTES = 64;
/** Texts that share a place take turns. */
const PLACES = 256;

interface KnownText {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** Strings by their bytes, so that the same few need not be made for each event. ASCII alone. */
export class TextCache {
  readonly #known: (KnownText | undefined)[] = new Array<undefined>(PLACES).fill(undefined);

  /** The text in these bytes, up to some hundreds; `null` where they are not ASCII. */
  read(bytes: Uint8Array, start: number, length: number): string | null {
    if (length === 0) return "";
    if (length > MAX_KEPT_BYTES) return asciiText(bytes.subarray(start, start + length));
    const place = (length + 31 * bytes[start]! + 7 * bytes[start + length - 1]!) & (PLACES - 1);
    const known = this.#known[place];
    if (known !== undefined && isSame(known.bytes, bytes, start, length)) return known.text;
    return this.#make(bytes, start, length, place);
  }

  #make(bytes: Uint8Array, start: number, length: number, place: number): string | null {
    const own = bytes.slice(start, start + length);
    const text = asciiText(own);
    if (text !== null) this.#known[place] = { bytes: own, text };
    return text;
  }
}

function asciiText(bytes: Uint8Array): string | null {
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! >= 0x80) return null;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (known.length !== length) return false;
  for (let i = 0; i < length; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}
