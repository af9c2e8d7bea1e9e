/**
 * A text of up to 31 ASCII characters as MessagePack writes it, its head included, to be compared by `WireReader.isName`:
 * words are little-endian and signed, as they compare fastest, with zeros behind the text.
 */
export interface WireName {
  readonly name: string;
  /** Bytes, with the head. */
  readonly length: number;
  /** Each by itself, for they are read more often than anything else. */
  readonly word0: number;
  readonly word1: number;
  readonly word2: number;
  readonly word3: number;
  /** Ones where a word holds bytes of the text. Names have three characters at least, so the first one is full. */
  readonly mask1: number;
  readonly mask2: number;
  readonly mask3: number;
  /** Words behind those, and the masks for them. */
  readonly rest: Int32Array;
  readonly restMasks: Int32Array;
}

/** `name`: of 3 to 31 ASCII characters. */
export function wireName(name: string): WireName {
  const bytes = Buffer.alloc(32);
  bytes[0] = 0xa0 | name.length;
  bytes.write(name, 1, "latin1");
  const masks = Buffer.alloc(32).fill(0xff, 0, name.length + 1);
  const word = (at: number): number => bytes.readInt32LE(4 * at);
  const mask = (at: number): number => masks.readInt32LE(4 * at);
  const rest = [4, 5, 6, 7].filter((at) => mask(at) !== 0);
  return {
    name,
    length: name.length + 1,
    word0: word(0),
    word1: word(1),
    word2: word(2),
    word3: word(3),
    mask1: mask(1),
    mask2: mask(2),
    mask3: mask(3),
    rest: Int32Array.from(rest, word),
    restMasks: Int32Array.from(rest, mask),
  };
}

/**
 * Texts as MessagePack writes them, heads included, one behind the other: 8 to 32 bytes, to be compared as the doubles that
 * cover them, which may overlap: two up to 16 bytes, three up to 24. None of those is a zero or NaN, as all are of ASCII
 * for the most part, so doubles that are equal have equal bytes.
 */
export interface WireRun {
  /** Bytes. */
  readonly length: number;
  /** Little-endian. The first one begins at 0. */
  readonly double0: number;
  readonly double1: number;
  readonly double2: number;
  readonly double3: number;
  /** Where the others begin. */
  readonly at1: number;
  readonly at2: number;
  readonly at3: number;
}

/** `names`: of up to 31 ASCII characters each. */
export function wireRun(...names: readonly string[]): WireRun {
  const bytes = Buffer.concat(names.map((name) => Buffer.from([0xa0 | name.length, ...Buffer.from(name, "latin1")])));
  const [at1, at2, at3] = [8, 16, 24].map((at) => Math.min(at, bytes.length - 8)) as [number, number, number];
  return {
    length: bytes.length,
    double0: bytes.readDoubleLE(0),
    double1: bytes.readDoubleLE(at1),
    double2: bytes.readDoubleLE(at2),
    double3: bytes.readDoubleLE(at3),
    at1,
    at2,
    at3,
  };
}
