import type { IncomingHttpHeaders } from "node:http";
import { KVEventSyncError, TokenizerError } from "../errors.ts";
import type { RequestRouter, RouteDecision, RouteRequest } from "../routing/request-router.ts";
import { STRATEGY_NAMES, type StrategyName } from "../routing/strategy.ts";
import type { PodDirectory } from "../sync/status.ts";
import { GatewayError, isModelPath, modelIn, readModelRequest } from "./openai.ts";

/** What a client sent, as far as it decides where it goes. */
export interface ClientRequest {
  readonly method: string;
  /** Without a query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly signal: AbortSignal;
}

/** What is asked of the router about a request. Throws GatewayError 400, and 503 where there is no engine at all. */
export function routeRequestOf(
  { method, path, headers, body, signal }: ClientRequest,
  directory: PodDirectory,
  adapters: Readonly<Record<string, string>>,
): RouteRequest {
  const strategy = strategyOf(headers);
  const target = headers["target-pod"];
  const common = {
    signal,
    ...(strategy !== undefined && { strategy }),
    ...(typeof target === "string" && target !== "" && { pods: [target] }),
  };
  if (isModelPath(path) && method === "POST") {
    const { model, prompt, cacheSalt } = readModelRequest(path, body);
    const base = adapters[model];
    return {
      ...common,
      model: base ?? model,
      ...(base !== undefined && { lora: model }),
      prompt: prompt ?? [],
      ...(cacheSalt !== null && { identity: { cacheSalt } }),
    };
  }
  const named = body.length === 0 ? null : modelIn(body);
  const model = named === null ? directory.pods()[0]?.pod.modelName : (adapters[named] ?? named);
  if (model === undefined) throw new GatewayError(503, "unavailable", "there is no engine yet");
  return { ...common, model, prompt: [], strategy: strategy ?? "least-request" };
}

/**
 * Without tokens a request goes where the load is least: a tokenizer that fails must not end the service. Rejects with
 * GatewayError as the router's errors are told to clients.
 */
export async function decide(router: RequestRouter, request: RouteRequest): Promise<RouteDecision> {
  try {
    return await router.route(request).catch((error: unknown) => {
      const isTokenizers =
        error instanceof TokenizerError || (error instanceof KVEventSyncError && error.code === "no-tokenizer");
      if (!isTokenizers) throw error;
      return router.routeTokens(request, []);
    });
  } catch (error) {
    if (!(error instanceof KVEventSyncError)) throw error;
    if (error.code === "unknown-model") throw new GatewayError(404, "model_not_found", error.message, { cause: error });
    if (error.code === "no-pod") throw new GatewayError(503, "unavailable", error.message, { cause: error });
    throw error;
  }
}

/** As AIBrix's clients name it. Throws GatewayError 400. */
function strategyOf(headers: IncomingHttpHeaders): StrategyName | undefined {
  const given = headers["routing-strategy"];
  if (given === undefined || given === "") return undefined;
  const known = STRATEGY_NAMES.find((name) => name === given);
  if (known !== undefined) return known;
  const problem = `routing-strategy is ${JSON.stringify(given)}; use one of ${STRATEGY_NAMES.join(", ")}`;
  throw new GatewayError(400, "invalid_request_error", problem);
}
