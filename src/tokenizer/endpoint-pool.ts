import type { Clock } from "../clock.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface EndpointPoolOptions {
  readonly connect: (endpoint: string) => Tokenizer;
  readonly healthCheckMs: number;
  readonly ttlMs: number;
  readonly maxTokenizers: number;
  readonly clock: Clock;
  readonly onHealthCheck: (isHealthy: boolean) => void;
}

interface Member {
  readonly tokenizer: Tokenizer;
  isHealthy: boolean;
  lastUsedMs: number;
  /** Calls under way; it is not closed under them. */
  uses: number;
}

/**
 * Tokenizers of engines, by endpoint: bounded in number, closed when unused for `ttlMs`, and looked after every
 * `healthCheckMs` while there are any. One that failed is left out until a look finds it well.
 */
export class EndpointPool implements AsyncDisposable {
  readonly #options: EndpointPoolOptions;
  /** The least recently used first. */
  readonly #members = new Map<string, Member>();
  readonly #closed = new AbortController();
  #timer: unknown = null;
  #checking: Promise<void> = Promise.resolve();

  constructor(options: EndpointPoolOptions) {
    this.#options = options;
  }

  /** Tokenizers that are open, and how many of them failed last. */
  get stats(): { readonly active: number; readonly unhealthy: number } {
    const members = [...this.#members.values()];
    return { active: members.length, unhealthy: members.filter(({ isHealthy }) => !isHealthy).length };
  }

  /**
   * Calls with this endpoint's tokenizer. `undefined`: it is not well, or the pool is full of tokenizers in use. Rejects
   * as `call`; `isEndpointsFault` tells whether that is held against the endpoint.
   */
  async use<T>(
    endpoint: string,
    call: (tokenizer: Tokenizer) => Promise<T>,
    isEndpointsFault: (error: unknown) => boolean,
  ): Promise<T | undefined> {
    const member = this.#find(endpoint);
    if (member === undefined) return undefined;
    member.uses += 1;
    try {
      return await call(member.tokenizer);
    } catch (error) {
      if (isEndpointsFault(error)) member.isHealthy = false;
      throw error;
    } finally {
      member.uses -= 1;
      member.lastUsedMs = this.#options.clock.now();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Error("closed"));
    this.#options.clock.clearTimeout(this.#timer);
    const members = [...this.#members.values()];
    this.#members.clear();
    await Promise.all(members.map(({ tokenizer }) => tokenizer[Symbol.asyncDispose]()));
    await this.#checking;
  }

  #find(endpoint: string): Member | undefined {
    if (this.#closed.signal.aborted) return undefined;
    const known = this.#members.get(endpoint);
    if (known?.isHealthy === false) return undefined;
    const member = known ?? this.#open(endpoint);
    if (member === undefined) return undefined;
    this.#members.delete(endpoint);
    this.#members.set(endpoint, member);
    return member;
  }

  #open(endpoint: string): Member | undefined {
    const { connect, maxTokenizers, clock } = this.#options;
    if (this.#members.size >= maxTokenizers) {
      const idle = [...this.#members].find(([, { uses }]) => uses === 0);
      if (idle === undefined) return undefined;
      this.#close(...idle);
    }
    const member = { tokenizer: connect(endpoint), isHealthy: true, lastUsedMs: clock.now(), uses: 0 };
    this.#members.set(endpoint, member);
    this.#schedule();
    return member;
  }

  #close(endpoint: string, { tokenizer }: Member): void {
    this.#members.delete(endpoint);
    // Nothing is under way there; its sockets end in their time.
    tokenizer[Symbol.asyncDispose]().then(undefined, () => {});
  }

  #schedule(): void {
    if (this.#timer !== null || this.#members.size === 0 || this.#closed.signal.aborted) return;
    const { clock, healthCheckMs } = this.#options;
    this.#timer = clock.setTimeout(() => {
      this.#checking = this.#check().then(() => {
        this.#timer = null;
        this.#schedule();
      });
    }, healthCheckMs);
  }

  async #check(): Promise<void> {
    const { ttlMs, clock, onHealthCheck } = this.#options;
    const { signal } = this.#closed;
    for (const [endpoint, member] of this.#members) {
      if (member.uses === 0 && clock.now() - member.lastUsedMs >= ttlMs) this.#close(endpoint, member);
    }
    await Promise.all(
      [...this.#members.values()].map(async (member) => {
        const isHealthy = await member.tokenizer.check({ signal }).then(
          () => true,
          () => false,
        );
        if (signal.aborted) return;
        member.isHealthy = isHealthy;
        onHealthCheck(isHealthy);
      }),
    );
  }
}
