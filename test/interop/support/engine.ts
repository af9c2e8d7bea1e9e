import { join } from "node:path";
import { PeerProcess } from "./peer-process.ts";
import { root } from "./python.ts";

/** As the program's options; those left out have its defaults. */
export interface EngineOptions {
  readonly port?: number;
  readonly ranks?: number;
  readonly encoding?: "array" | "map" | "map-batch" | "sglang";
  readonly hashForm?: "int" | "signed" | "bytes8" | "bytes32";
  readonly replayFraming?: "plain" | "topic";
  readonly topic?: string;
  readonly blockSize?: number;
  /** Blocks of each rank. */
  readonly capacity?: number;
  readonly hashSeed?: number;
  readonly promptSeed?: number;
}

export interface EngineEndpoint {
  readonly endpoint: string;
  readonly replayEndpoint: string;
}

/** A prompt that was served once, and of each of its blocks whether the engine still holds it. */
export interface ServedPrompt {
  readonly tokens: readonly number[];
  readonly adapter: string | null;
  readonly salt: string | null;
  readonly held: readonly boolean[];
}

/** What an engine knows of itself. */
export interface Truth {
  readonly blockSize: number;
  readonly ranks: readonly { readonly nextSequence: number; readonly prompts: readonly ServedPrompt[] }[];
}

/** How prompts are served: payloads of at least so many bytes; lost ones are there for replay only. */
export interface ServeOptions {
  readonly leastBytes?: number;
  readonly isLost?: boolean;
}

interface Sequences {
  readonly sequences: readonly number[];
}

/** An engine process in Python: libzmq and msgspec, as vLLM has. */
export class Engine implements AsyncDisposable {
  readonly #process: PeerProcess;
  readonly endpoints: readonly EngineEndpoint[];

  private constructor(child: PeerProcess, endpoints: readonly EngineEndpoint[]) {
    this.#process = child;
    this.endpoints = endpoints;
  }

  static async start(python: string, options: EngineOptions = {}): Promise<Engine> {
    const flags = Object.entries(options).flatMap(([name, value]) => [flagOf(name), `${value}`]);
    const child = new PeerProcess("engine", python, [join(root, "test/interop/engine"), ...flags]);
    try {
      return new Engine(child, JSON.parse(await child.readLine()).endpoints);
    } catch (error) {
      await child.end("SIGKILL");
      throw error;
    }
  }

  /** Of rank 0; another process can take its place there. */
  get port(): number {
    return Number(this.endpoints[0]!.endpoint.split(":").at(-1));
  }

  /** Each prompt publishes one batch on one rank. Resolves to the next sequence of each rank. */
  async serve(prompts: number, options: ServeOptions = {}): Promise<readonly number[]> {
    return (await this.#do<Sequences>({ do: "serve", prompts, ...options })).sequences;
  }

  /** Drops a rank's cache and publishes that. Resolves as `serve`. */
  async reset(rank = 0): Promise<readonly number[]> {
    return (await this.#do<Sequences>({ do: "reset", rank })).sequences;
  }

  truth(): Promise<Truth> {
    return this.#do({ do: "truth" });
  }

  /** As a container that crashes. */
  async kill(): Promise<void> {
    await this.#process.end("SIGKILL");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  async #do<T>(command: Readonly<Record<string, unknown>>): Promise<T> {
    this.#process.write(JSON.stringify(command));
    return JSON.parse(await this.#process.readLine()) as T;
  }
}

function flagOf(option: string): string {
  return `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
