import { randomUUID, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { pipeline } from "node:stream/promises";
import { Agent, type Dispatcher, request as send } from "undici";
import { type Clock, systemClock } from "../clock.ts";
import type { RequestMetrics } from "../metrics.ts";
import type { ActiveRequest } from "../routing/load.ts";
import type { RequestRouter, RouteDecision } from "../routing/request-router.ts";
import type { RouteCandidate } from "../routing/strategy.ts";
import { Connections, type ListenAddress, shutDown, startListening } from "../server/listener.ts";
import type { PodDirectory } from "../sync/status.ts";
import { failureOf, isUnavailable, judgeFailure } from "./attempts.ts";
import { bearerOf, requestHeaders, requestIdOf, responseHeaders } from "./headers.ts";
import { GatewayError, isModelPath, modelList } from "./openai.ts";
import { type GatewayOptions, type GatewaySettings, resolveGatewayOptions } from "./options.ts";
import { decide, routeRequestOf } from "./route-request.ts";

/** What a gateway stands on. */
export interface GatewayParts {
  readonly router: RequestRouter;
  readonly directory: PodDirectory;
  readonly requests?: RequestMetrics;
  readonly options?: GatewaySettings;
  /** Hears of each request that was passed on, or could not be. Must not throw. Default nobody. */
  readonly onRouted?: (routed: Routed) => void;
  /** Hears of what goes wrong beside single requests. */
  readonly onError?: (error: Error) => void;
  readonly clock?: Clock;
}

/** One request and where it went. */
export interface Routed {
  readonly requestId: string;
  readonly path: string;
  readonly status: number;
  /** `null`: nobody took it. */
  readonly pod: string | null;
  /** Why there. */
  readonly reason: string | null;
  readonly attempts: number;
  /** From the head of the request to the head of its answer. */
  readonly headMs: number;
}

/** A request that is being answered. */
interface Exchange {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly requestId: string;
  readonly startedMs: number;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

/** Where a request may go, the best first. */
interface Plan {
  readonly decision: RouteDecision;
  readonly candidates: readonly RouteCandidate[];
}

const RETRY_AFTER_SECONDS = 1;

/**
 * A reverse proxy with OpenAI's API in front of engines: each request goes to the pod that the router names. Answers are
 * passed on as they come, byte for byte. Disposing equals `close()`.
 */
export class Gateway implements AsyncDisposable {
  readonly #parts: GatewayParts;
  readonly #options: GatewayOptions;
  readonly #clock: Clock;
  readonly #server: Server;
  readonly #agent: Agent;
  readonly #connections: Connections;
  readonly #keys: readonly Buffer[];
  #closing: Promise<void> | null = null;

  /** Throws ConfigurationError `invalid-option`, and Node's error for a certificate that is none. */
  constructor(parts: GatewayParts) {
    this.#parts = parts;
    this.#options = resolveGatewayOptions(parts.options);
    this.#clock = parts.clock ?? systemClock;
    this.#keys = this.#options.apiKeys.map((key) => Buffer.from(key));
    const { tls, connectTimeoutMs, headTimeoutMs, idleTimeoutMs } = this.#options;
    this.#agent = new Agent({
      connect: { timeout: connectTimeoutMs },
      headersTimeout: headTimeoutMs,
      bodyTimeout: idleTimeoutMs,
    });
    const listener = (incoming: IncomingMessage, response: ServerResponse): void =>
      void this.#serve(incoming, response);
    this.#server =
      tls === undefined ? createServer(listener) : createTlsServer({ cert: tls.cert, key: tls.key }, listener);
    this.#connections = new Connections(this.#server);
    // An answer may take its time; a request's head may not.
    this.#server.requestTimeout = 0;
    this.#server.on("error", (error) => {
      if (this.#server.listening) parts.onError?.(error);
    });
  }

  /** Port 0 takes a free one. Rejects with the system's error, such as `EADDRINUSE`. */
  listen(address: { readonly host: string; readonly port: number }): Promise<ListenAddress> {
    return startListening(this.#server, address, this.#options.tls === undefined ? "http" : "https");
  }

  /** Takes no more requests, gives those that run `drainTimeoutMs`, and ends the rest. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    if (this.#server.listening) await shutDown(this.#server, this.#connections, this.#options.drainTimeoutMs);
    await this.#agent.destroy();
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const exchange: Exchange = {
      incoming,
      response,
      path: (incoming.url ?? "/").split("?", 1)[0]!,
      requestId: requestIdOf(incoming.headers, randomUUID),
      startedMs: this.#clock.now(),
      signal: gone.signal,
    };
    try {
      await this.#answer(exchange);
    } catch (error) {
      this.#refuse(exchange, error);
    }
  }

  async #answer(exchange: Exchange): Promise<void> {
    if (this.#closing !== null)
      throw new GatewayError(503, "unavailable", "the gateway is going away; ask another one");
    this.#authorize(exchange.incoming);
    if (exchange.path === "/livez") return this.#say(exchange, 200, { status: "ok" });
    if (exchange.path === "/v1/models" && exchange.incoming.method === "GET") {
      return this.#say(exchange, 200, modelList(this.#models(), Math.floor(Date.now() / 1_000)));
    }
    const body = await this.#bodyOf(exchange);
    await this.#passOn(exchange, body, await this.#plan(exchange, body));
  }

  #authorize({ headers }: IncomingMessage): void {
    if (this.#keys.length === 0) return;
    const given = Buffer.from(bearerOf(headers) ?? "");
    // Each is compared, and each in the same time, whatever was given.
    let isKnown = false;
    for (const key of this.#keys) {
      const padded = Buffer.alloc(key.length);
      given.copy(padded);
      if (timingSafeEqual(padded, key) && given.length === key.length) isKnown = true;
    }
    if (!isKnown) throw new GatewayError(401, "invalid_api_key", 'send a known key: "Authorization: Bearer <key>"');
  }

  #models(): string[] {
    const models = new Set(Object.keys(this.#options.adapters));
    for (const { pod } of this.#parts.directory.pods()) models.add(pod.modelName);
    return [...models].sort();
  }

  async #bodyOf({ incoming }: Exchange): Promise<Buffer> {
    const { maxBodyBytes } = this.#options;
    const tooLarge = (): GatewayError =>
      new GatewayError(413, "invalid_request_error", `body exceeds ${maxBodyBytes} bytes; send a shorter prompt`);
    if (Number(incoming.headers["content-length"] ?? 0) > maxBodyBytes) throw tooLarge();
    const parts: Buffer[] = [];
    let bytes = 0;
    for await (const part of incoming as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > maxBodyBytes) throw tooLarge();
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  async #plan(exchange: Exchange, body: Buffer): Promise<Plan> {
    const { incoming, path, signal } = exchange;
    const { router, directory } = this.#parts;
    const client = { method: incoming.method ?? "GET", path, headers: incoming.headers, body, signal };
    const decision = await decide(router, routeRequestOf(client, directory, this.#options.adapters));
    const rest = decision.candidates.filter(({ pod }) => pod !== decision.pod);
    // Whoever is asked after the one that was chosen is the one that will answer soonest.
    rest.sort((left, right) => left.expectedTtftMs - right.expectedTtftMs);
    const chosen = decision.candidates.find(({ pod }) => pod === decision.pod)!;
    return { decision, candidates: [chosen, ...rest] };
  }

  async #passOn(exchange: Exchange, body: Buffer, { decision, candidates }: Plan): Promise<void> {
    const { maxInFlight, maxAttempts } = this.#options;
    let attempts = 0;
    let lastError: GatewayError | undefined;
    for (const candidate of candidates) {
      if (attempts >= maxAttempts) break;
      if (candidate.address === null || this.#parts.router.runningOn(candidate.pod) >= maxInFlight) continue;
      attempts++;
      const active = this.#parts.router.begin(decision, candidate.pod);
      try {
        const answer = await this.#ask(exchange, candidate.address, body);
        if (isUnavailable(answer.statusCode) && this.#mayRetry("unavailable", attempts, candidates)) {
          await answer.body.dump();
          continue;
        }
        await this.#relay(exchange, answer, candidate, decision, attempts, active);
        return;
      } catch (error) {
        if (exchange.signal.aborted || exchange.response.headersSent) throw error;
        const failure = failureOf(error);
        lastError = new GatewayError(
          failure === "head-timeout" ? 504 : 502,
          "upstream_error",
          `pod ${candidate.pod} at ${candidate.address}: ${(error as Error).message}`,
          { cause: error },
        );
        if (judgeFailure(failure, attempts, maxAttempts) === "give-up") throw lastError;
      } finally {
        active.end();
      }
    }
    if (lastError !== undefined) throw lastError;
    throw this.#nobody(candidates);
  }

  #mayRetry(failure: "unavailable", attempts: number, candidates: readonly RouteCandidate[]): boolean {
    const { maxAttempts, maxInFlight } = this.#options;
    const { router } = this.#parts;
    const free = candidates.filter(({ pod, address }) => address !== null && router.runningOn(pod) < maxInFlight);
    return free.length > attempts && judgeFailure(failure, attempts, maxAttempts) === "retry";
  }

  #nobody(candidates: readonly RouteCandidate[]): GatewayError {
    if (candidates.every(({ address }) => address === null)) {
      return new GatewayError(503, "unavailable", "no pod has an HTTP address; give one with --http-url");
    }
    const { maxInFlight } = this.#options;
    const problem = `each of ${candidates.length} pods has ${maxInFlight} requests already; ask again later`;
    return new GatewayError(429, "rate_limit_exceeded", problem, { retryAfter: RETRY_AFTER_SECONDS });
  }

  #ask({ incoming, requestId, signal }: Exchange, address: string, body: Buffer): Promise<Dispatcher.ResponseData> {
    const withKey = this.#keys.length === 0;
    return send(address + (incoming.url ?? "/"), {
      method: (incoming.method ?? "GET") as Dispatcher.HttpMethod,
      headers: requestHeaders(incoming.headers, { requestId, withKey }),
      body: body.length === 0 ? null : body,
      dispatcher: this.#agent,
      signal,
    });
  }

  async #relay(
    exchange: Exchange,
    answer: Dispatcher.ResponseData,
    { pod }: RouteCandidate,
    { reason }: RouteDecision,
    attempts: number,
    active: ActiveRequest,
  ): Promise<void> {
    const { response, requestId } = exchange;
    response.writeHead(answer.statusCode, responseHeaders(answer.headers, { requestId, pod }));
    this.#tell(exchange, { status: answer.statusCode, pod, reason, attempts });
    answer.body.once("data", () => active.firstToken());
    response.flushHeaders();
    await pipeline(answer.body, response);
  }

  #say(exchange: Exchange, status: number, body: object): void {
    const { response, requestId } = exchange;
    response.writeHead(status, { "content-type": "application/json", "x-request-id": requestId });
    response.end(JSON.stringify(body));
    this.#tell(exchange, { status, pod: null, reason: null, attempts: 0 });
  }

  #refuse(exchange: Exchange, error: unknown): void {
    const { response, requestId, signal } = exchange;
    // Whoever went away reads nothing; an answer that broke off must not look like a whole one.
    if (signal.aborted || response.headersSent) {
      response.destroy();
      return;
    }
    const told = toGatewayError(error);
    if (told.status === 500) this.#parts.onError?.(error instanceof Error ? error : new Error(String(error)));
    response.writeHead(told.status, {
      "content-type": "application/json",
      "x-request-id": requestId,
      connection: "close",
      ...(told.retryAfter !== undefined && { "retry-after": String(told.retryAfter) }),
    });
    response.end(JSON.stringify(told.body));
    this.#tell(exchange, { status: told.status, pod: null, reason: told.message, attempts: 0 });
  }

  #tell({ requestId, path, startedMs }: Exchange, more: Pick<Routed, "status" | "pod" | "reason" | "attempts">): void {
    const headMs = this.#clock.now() - startedMs;
    const { status } = more;
    const outcome = status < 400 ? "success" : status < 500 ? "client_error" : "server_error";
    this.#parts.requests?.answered(
      isModelPath(path) || path === "/v1/models" ? path : "other",
      outcome,
      headMs / 1_000,
    );
    this.#parts.onRouted?.({ requestId, path, headMs, ...more });
  }
}

function toGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError(500, "internal_error", "the gateway failed; its log tells why", { cause: error });
}
