/** As `Math.random`: from 0 inclusive to 1 exclusive. */
export type Random = () => number;

/**
 * A random sequence that `seed` determines, good enough to make up prompts and never for secrets (Bob Jenkins' small
 * fast counter generator, 32 bits).
 */
export function seededRandom(seed: number): Random {
  let a = 0x9e3779b9;
  let b = seed >>> 0;
  let c = Math.floor(seed / 0x1_0000_0000) >>> 0;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  };
  // Similar seeds begin alike.
  for (let round = 0; round < 16; round++) next();
  return () => next() / 0x1_0000_0000;
}

/** A whole number from `least` to `most`, both inclusive. */
export function randomInteger(random: Random, least: number, most: number): number {
  return least + Math.floor(random() * (most - least + 1));
}

/** Another seed for each of a thing's parts, such as the ranks of an engine and its restarts. */
export function deriveSeed(seed: number, ...parts: readonly number[]): number {
  let derived = seed;
  for (const part of parts) {
    const random = seededRandom(derived + (part + 1) * 0x1_0000_0000);
    derived = Math.floor(random() * 0x1_0000_0000);
  }
  return derived;
}
