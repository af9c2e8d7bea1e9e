/** Bytes that this process holds after garbage was collected, with --expose-gc. */
export function memory(): { readonly rss: number; readonly held: number } {
  for (let i = 0; i < 4; i += 1) globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, held: heapUsed + external };
}
