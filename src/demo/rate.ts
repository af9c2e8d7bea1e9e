/** How fast a counter grows, over the last second or so. */
export class Rate {
  readonly #windowMs: number;
  readonly #samples: { readonly atMs: number; readonly total: number }[] = [];

  constructor(windowMs = 1_000) {
    this.#windowMs = windowMs;
  }

  /** Takes the counter's value now and returns its growth per second; 0 before there are two values. */
  perSecond(total: number, nowMs: number): number {
    const samples = this.#samples;
    samples.push({ atMs: nowMs, total });
    while (samples.length > 2 && nowMs - samples[1]!.atMs >= this.#windowMs) samples.shift();
    const first = samples[0]!;
    return nowMs <= first.atMs ? 0 : ((total - first.total) * 1_000) / (nowMs - first.atMs);
  }
}
