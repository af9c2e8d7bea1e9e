import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** One line of a scrape. */
export interface Sample<Label extends string> {
  readonly labels: Readonly<Record<Label, string>>;
  readonly value: number;
}

/** A series whose samples are read when it is scraped, so that counting costs an addition and what is gone is gone. */
export interface PulledSeries<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly Label[];
  /** A value that is no finite number, or a counter's below 0, is left out. */
  readonly read: () => Iterable<Sample<Label>>;
}

/**
 * A series that writes itself, piece by piece, so that whoever writes very many lines can pause between them. prom-client
 * makes each line by way of a hash of its labels, and all of them at once.
 */
export interface PulledText {
  readonly type: "counter" | "gauge" | "histogram";
  /** One or more lines each. */
  pieces(): Iterable<string>;
}

/** Every pulled metric, to its text. */
const texts = new WeakMap<object, PulledText>();

/** How a metric of a registry writes itself; `undefined` for those of others. */
export function textOf(metric: object): PulledText | undefined {
  return texts.get(metric);
}

/** Throws where the registry has the name already; so do the others here. */
export function pulledCounter<Label extends string>(registry: Registry, series: PulledSeries<Label>): void {
  const { name, help, labelNames } = series;
  const read = () => admitted(series.read(), 0);
  const counter = new Counter<Label>({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, value } of read()) this.inc(labels, value);
    },
  });
  texts.set(counter, { type: "counter", pieces: () => sampleLines(name, read()) });
}

export function pulledGauge<Label extends string>(registry: Registry, series: PulledSeries<Label>): void {
  const { name, help, labelNames } = series;
  const read = () => admitted(series.read(), Number.NEGATIVE_INFINITY);
  const gauge = new Gauge<Label>({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, value } of read()) this.set(labels, value);
    },
  });
  texts.set(gauge, { type: "gauge", pieces: () => sampleLines(name, read()) });
}

function* admitted<Label extends string>(
  samples: Iterable<Sample<Label>>,
  least: number,
): IterableIterator<Sample<Label>> {
  for (const sample of samples) if (sample.value >= least && Number.isFinite(sample.value)) yield sample;
}

function* sampleLines(name: string, samples: Iterable<Sample<string>>): IterableIterator<string> {
  for (const { labels, value } of samples) {
    const pairs = labelPairs(labels);
    yield pairs === "" ? `${name} ${value}\n` : `${name}{${pairs}} ${value}\n`;
  }
}

/** As between braces. */
function labelPairs(labels: Readonly<Record<string, string>>): string {
  let pairs = "";
  for (const name of Object.keys(labels)) {
    const value = labels[name]!;
    const escaped = /[\\\n"]/.test(value) ? value.replace(/[\\\n"]/g, (found) => ESCAPES[found]!) : value;
    pairs += `${pairs === "" ? "" : ","}${name}="${escaped}"`;
  }
  return pairs;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", '"': '\\"' };

/** Bounds from `start` on, each `factor` times the one before. */
export function exponentialBounds(start: number, factor: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, power) => start * factor ** power);
}

/** How many values fell between which bounds. */
export class Distribution {
  readonly bounds: readonly number[];
  /** One for each bound, of the values up to it and above the one before; the last one of all that are higher. */
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  get sum(): number {
    return this.#sum;
  }

  /** Ignores what is no duration: below 0, infinite, NaN. */
  observe(value: number): void {
    if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) return;
    let index = 0;
    while (index < this.bounds.length && value > this.bounds[index]!) index++;
    this.#counts[index]!++;
    this.#sum += value;
  }

  /** Of the values up to each bound, and at last of all. */
  cumulative(): readonly number[] {
    let total = 0;
    return this.#counts.map((count) => {
      total += count;
      return total;
    });
  }
}

/** A histogram that is read when it is scraped. */
export interface PulledDistribution<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly Label[];
  readonly bounds: readonly number[];
  readonly read: () => Iterable<{
    readonly labels: Readonly<Record<Label, string>>;
    readonly distribution: Distribution;
  }>;
}

export function pulledHistogram<Label extends string>(registry: Registry, series: PulledDistribution<Label>): void {
  texts.set(new PulledHistogram(registry, series), { type: "histogram", pieces: () => histogramLines(series) });
}

interface HistogramLine {
  readonly labels: { readonly le?: string | number };
  readonly sharedLabels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly metricName: string;
}

/**
 * prom-client's `observe` takes 0.3 µs, and a batch of one block little more in all. This one overrides the method from
 * which that package (15.x) makes both of its outputs.
 */
class PulledHistogram<Label extends string> extends Histogram<Label> {
  readonly #series: PulledDistribution<Label>;

  constructor(registry: Registry, series: PulledDistribution<Label>) {
    const { name, help, labelNames, bounds } = series;
    super({ name, help, labelNames, buckets: [...bounds], registers: [registry] });
    this.#series = series;
  }

  async getForPromString(): Promise<object> {
    const { name, help } = this.#series;
    return { name, help, type: "histogram", aggregator: "sum", values: [...this.#lines()] };
  }

  *#lines(): IterableIterator<HistogramLine> {
    const { name, bounds, read } = this.#series;
    for (const { labels: sharedLabels, distribution } of read()) {
      const cumulative = distribution.cumulative();
      const count = cumulative.at(-1)!;
      for (const [index, value] of cumulative.entries()) {
        yield { labels: { le: bounds[index] ?? "+Inf" }, sharedLabels, value, metricName: `${name}_bucket` };
      }
      yield { labels: {}, sharedLabels, value: distribution.sum, metricName: `${name}_sum` };
      yield { labels: {}, sharedLabels, value: count, metricName: `${name}_count` };
    }
  }
}

function* histogramLines<Label extends string>(series: PulledDistribution<Label>): IterableIterator<string> {
  const { name, bounds, read } = series;
  const heads = [...bounds, "+Inf"].map((bound) => `${name}_bucket{le="${bound}"`);
  for (const { labels, distribution } of read()) {
    const own = labelPairs(labels);
    const more = own === "" ? "" : `,${own}`;
    const cumulative = distribution.cumulative();
    let lines = "";
    for (let i = 0; i < cumulative.length; i++) lines += `${heads[i]}${more}} ${cumulative[i]}\n`;
    const braces = own === "" ? "" : `{${own}}`;
    yield `${lines}${name}_sum${braces} ${distribution.sum}\n${name}_count${braces} ${cumulative.at(-1)}\n`;
  }
}
