/** How many letters have to be put in, taken out or exchanged, to make one word of the other (Levenshtein). */
export function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, at) => at);
  for (let at = 0; at < left.length; at++) {
    const next = [at + 1];
    for (let to = 0; to < right.length; to++) {
      const exchanged = row[to]! + (left[at] === right[to] ? 0 : 1);
      next.push(Math.min(exchanged, row[to + 1]! + 1, next[to]! + 1));
    }
    row = next;
  }
  return row[right.length]!;
}

/** Beyond it, a word is no slip of another. */
const MAX_COMPARED_CHARACTERS = 100;

/** The nearest of these words, where it is near: a quarter of its letters differ at most. */
export function nearest(word: string, words: Iterable<string>): string | undefined {
  if (word.length > MAX_COMPARED_CHARACTERS) return undefined;
  let best: { readonly word: string; readonly distance: number } | undefined;
  for (const candidate of words) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance > Math.max(1, candidate.length / 4)) continue;
    if (best === undefined || distance < best.distance) best = { word: candidate, distance };
  }
  return best?.word;
}
