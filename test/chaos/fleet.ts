import type { Daemon } from "../interop/support/daemon.ts";
import { Engine, type EngineOptions, type Truth } from "../interop/support/engine.ts";
import { FaultProxy, PROXY_FAULTS, type ProxyFault } from "./fault-proxy.ts";

/** Encodings, hashes and framings as they are met in production. */
const KINDS: readonly EngineOptions[] = [
  { encoding: "map", hashForm: "int", replayFraming: "topic" },
  { encoding: "array", hashForm: "bytes32", replayFraming: "plain" },
  { encoding: "map-batch", hashForm: "signed", replayFraming: "topic" },
  { encoding: "sglang", hashForm: "bytes8", replayFraming: "plain" },
];

/** One engine process of several ranks, each with proxies in front of both of its sockets. */
export class Pod implements AsyncDisposable {
  readonly name: string;
  readonly ranks: number;
  readonly #python: string;
  readonly #number: number;
  #engine: Engine;
  #proxies: readonly FaultProxy[] = [];
  #incarnation = 0;
  /** Commands go one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(python: string, number: number, ranks: number, engine: Engine) {
    this.name = `engine-${number}`;
    this.#python = python;
    this.#number = number;
    this.ranks = ranks;
    this.#engine = engine;
  }

  static async start(python: string, number: number, ranks: number): Promise<Pod> {
    const pod = new Pod(python, number, ranks, await Engine.start(python, optionsOf(number, ranks, 0)));
    const ports = pod.#engine.endpoints.flatMap(({ endpoint, replayEndpoint }) => [endpoint, replayEndpoint]);
    pod.#proxies = await Promise.all(ports.map((url) => FaultProxy.open(Number(url.split(":").at(-1)))));
    return pod;
  }

  register(daemon: Daemon): Promise<void> {
    const url = (at: number): string => `tcp://127.0.0.1:${this.#proxies[at]!.port}`;
    const endpoints = Array.from({ length: this.ranks }, (_, rank) => ({
      endpoint: url(2 * rank),
      replayEndpoint: url(2 * rank + 1),
    }));
    return daemon.register(this.name, endpoints);
  }

  /** Publishes so many batches. Resolves to the next sequence of each rank. */
  serve(prompts: number): Promise<readonly number[]> {
    return this.#do(() => this.#engine.serve(prompts));
  }

  reset(rank: number): Promise<unknown> {
    return this.#do(() => this.#engine.reset(rank));
  }

  /** Another process takes the place of this one, on the same ports: its cache is empty, its sequences begin anew. */
  restart(): Promise<unknown> {
    return this.#do(async () => {
      const { port } = this.#engine;
      await this.#engine.kill();
      this.#incarnation++;
      this.#engine = await Engine.start(this.#python, {
        ...optionsOf(this.#number, this.ranks, this.#incarnation),
        port,
      });
    });
  }

  truth(): Promise<Truth> {
    return this.#do(() => this.#engine.truth());
  }

  /** On one of its sockets. */
  disturb(random: () => number): ProxyFault {
    const fault = PROXY_FAULTS[Math.floor(random() * PROXY_FAULTS.length)]!;
    const proxy = this.#proxies[Math.floor(random() * this.#proxies.length)]!;
    proxy.disturb(fault, 100 + random() * 3_000);
    return fault;
  }

  heal(): void {
    for (const proxy of this.#proxies) proxy.heal();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
    await this.#engine.kill();
  }

  #do<T>(command: () => Promise<T>): Promise<T> {
    const next = this.#last.then(command, command);
    this.#last = next.catch(() => {});
    return next;
  }
}

/** Engine processes with so many ranks in all. */
export class Fleet implements AsyncDisposable {
  readonly pods: Pod[] = [];

  /** One after the other: together they would look for the same free ports. */
  async start(python: string, engines: number, ranksOfPod: number): Promise<void> {
    for (let left = engines; left > 0; left -= ranksOfPod) {
      this.pods.push(await Pod.start(python, this.pods.length, Math.min(left, ranksOfPod)));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.pods.map((pod) => pod[Symbol.asyncDispose]()));
  }
}

function optionsOf(number: number, ranks: number, incarnation: number): EngineOptions {
  // Few prompts' worth of blocks, so that much is evicted; the same prompts on all, so that prefixes are shared.
  const common = { ranks, capacity: 120, promptSeed: number % 3, hashSeed: 1_000 * incarnation + number };
  return { ...KINDS[number % KINDS.length]!, ...common };
}
