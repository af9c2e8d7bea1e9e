import type { Context } from "hono";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Registry } from "prom-client";
import { KVEventSyncError } from "../../errors.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import type { Generation, GenerationRequest } from "../serving-engine.ts";
import {
  type AnswerHead,
  chunk,
  type FinishReason,
  roleChunk,
  type UsageCounts,
  usageChunk,
  wholeAnswer,
} from "./answers.ts";
import {
  type CompletionRequest,
  EngineHttpError,
  readChat,
  readCompletion,
  readDetokenize,
  readTokenize,
} from "./bodies.ts";
import { eventStream } from "./event-stream.ts";
import { type Answer, Speaker } from "./speaker.ts";

/** Whose API it is. */
export interface EngineAppParts {
  readonly modelName: string;
  readonly tokenizer: Tokenizer;
  readonly engine: {
    readonly maxModelTokens: number;
    generate(request: GenerationRequest, onTokens: (tokens: number) => void, signal?: AbortSignal): Promise<Generation>;
  };
  readonly isRunning: () => boolean;
  readonly registry: Registry;
  /** Tokens of an answer whose length the client leaves to the engine. */
  readonly answerTokens: number;
  /** Seconds since the epoch. */
  readonly nowSeconds: () => number;
}

const MAX_BODY_BYTES = 8 * 1024 * 1024;
const ERROR_TYPES = {
  400: "BadRequestError",
  404: "NotFoundError",
  413: "BadRequestError",
  429: "RateLimitError",
  503: "ServiceUnavailableError",
};

/** Everything a completion needs once its prompt is tokens. */
interface Ready {
  readonly head: AnswerHead;
  readonly request: CompletionRequest;
  readonly generation: GenerationRequest;
  readonly answer: Answer;
  readonly reason: FinishReason;
}

/** An engine's HTTP API, as vLLM has it, without a socket: `app.request(…)` answers. */
export function createEngineApp(parts: EngineAppParts): Hono {
  const app = new Hono();
  const speaker = new Speaker(parts.tokenizer);
  let answers = 0;
  const complete = async (c: Context, request: CompletionRequest, kind: AnswerHead["kind"]): Promise<Response> => {
    checkModel(parts, request.model);
    const id = `${kind === "chat" ? "chatcmpl" : "cmpl"}-${c.req.header("x-request-id") ?? ++answers}`;
    const head = { id, model: parts.modelName, created: Math.floor(parts.nowSeconds()), kind };
    const ready = await prepare(parts, speaker, { head, request, rank: rankOf(c) });
    return request.isStream ? streamed(c, parts, ready) : whole(c, parts, ready);
  };
  const limit = bodyLimit({
    maxSize: MAX_BODY_BYTES,
    onError: () => {
      throw new EngineHttpError(413, `body exceeds ${MAX_BODY_BYTES} bytes; send a shorter prompt`);
    },
  });
  app.use(limit);
  app.post("/v1/chat/completions", async (c) => complete(c, readChat(await bodyOf(c)), "chat"));
  app.post("/v1/completions", async (c) => complete(c, readCompletion(await bodyOf(c)), "text"));
  app.get("/v1/models", (c) => c.json({ object: "list", data: [modelOf(parts)] }));
  app.post("/tokenize", async (c) => {
    const { prompt, model } = readTokenize(await bodyOf(c));
    checkModel(parts, model);
    const tokens = [...(await parts.tokenizer.tokenize(prompt, { signal: c.req.raw.signal })).tokens];
    return c.json({ count: tokens.length, max_model_len: parts.engine.maxModelTokens, tokens, token_strs: null });
  });
  app.post("/detokenize", async (c) => {
    const { tokens, model } = readDetokenize(await bodyOf(c));
    checkModel(parts, model);
    return c.json({ prompt: await parts.tokenizer.detokenize(tokens) });
  });
  app.get("/health", (c) => c.body(null, parts.isRunning() ? 200 : 503));
  app.get("/is_sleeping", (c) => c.json({ is_sleeping: false }));
  app.get("/metrics", async (c) =>
    c.body(await parts.registry.metrics(), 200, { "content-type": parts.registry.contentType }),
  );
  app.notFound((c) => refuse(c, new EngineHttpError(404, `there is no ${c.req.method} ${c.req.path}`)));
  app.onError((error, c) => refuse(c, toHttpError(error)));
  return app;
}

async function prepare(
  { tokenizer, engine, answerTokens }: EngineAppParts,
  speaker: Speaker,
  { head, request, rank }: Pick<Ready, "head" | "request"> & { readonly rank: number | undefined },
): Promise<Ready> {
  const { prompt, maxTokens, cacheSalt } = request;
  const tokens = "tokens" in prompt ? prompt.tokens : (await tokenizer.tokenize(prompt)).tokens;
  if (tokens.length === 0) throw new EngineHttpError(400, "the prompt is empty; send at least one token");
  const wanted = tokens.length + (maxTokens ?? answerTokens);
  if (wanted > engine.maxModelTokens) {
    const most = `the engine takes ${engine.maxModelTokens}, with the answer's`;
    throw new EngineHttpError(400, `the request takes ${wanted} tokens, and ${most}; shorten it`);
  }
  const answer = await speaker.answer(maxTokens ?? answerTokens);
  const generation = {
    tokens,
    outputTokens: answer.tokens,
    ...(cacheSalt !== undefined && { cacheSalt }),
    ...(rank !== undefined && { rank }),
  };
  return { head, request, generation, answer, reason: maxTokens === null ? "stop" : "length" };
}

async function whole(c: Context, { engine }: EngineAppParts, ready: Ready): Promise<Response> {
  const { head, generation, answer, reason } = ready;
  const { cachedTokens } = await engine.generate(generation, () => {}, c.req.raw.signal);
  return c.json(wholeAnswer(head, answer.text, reason, usageOf(generation, cachedTokens)));
}

/** Server-sent events. The status comes with the first token, so that a refusal can still have its own. */
function streamed(c: Context, { engine }: EngineAppParts, ready: Ready): Promise<Response> {
  const { head, request, generation, answer, reason } = ready;
  const gone = new AbortController();
  const stream = eventStream(() => gone.abort(new Error("the client hung up")));
  return new Promise((resolve, reject) => {
    let sent = 0;
    const onTokens = (tokens: number): void => {
      if (sent === 0) {
        resolve(new Response(stream.body, { headers: { "content-type": "text/event-stream; charset=utf-8" } }));
        if (head.kind === "chat") stream.send(roleChunk(head));
      }
      stream.send(chunk(head, answer.piece(sent, tokens), null));
      sent = tokens;
    };
    const end = ({ cachedTokens }: Generation): void => {
      stream.send(chunk(head, "", reason));
      if (request.includeUsage) stream.send(usageChunk(head, usageOf(generation, cachedTokens)));
      stream.send("[DONE]");
      stream.close();
    };
    const fail = (error: unknown): void => (sent === 0 ? reject(error) : stream.fail(error));
    engine
      .generate(generation, onTokens, AbortSignal.any([gone.signal, c.req.raw.signal]))
      .then(end)
      .catch(fail);
  });
}

function usageOf({ tokens, outputTokens }: GenerationRequest, cached: number): UsageCounts {
  return { prompt: tokens.length, cached, output: outputTokens.length };
}

function modelOf({ modelName, engine, nowSeconds }: EngineAppParts): object {
  const created = Math.floor(nowSeconds());
  const about = { id: modelName, object: "model", created, owned_by: "kv-event-sync", root: modelName, parent: null };
  return { ...about, max_model_len: engine.maxModelTokens };
}

function checkModel({ modelName }: EngineAppParts, model: string | undefined): void {
  if (model === undefined || model === "" || model === modelName) return;
  throw new EngineHttpError(
    404,
    `model ${JSON.stringify(model)} does not exist; there is ${JSON.stringify(modelName)}`,
  );
}

/** As vLLM's clients choose a data-parallel rank. */
function rankOf(c: Context): number | undefined {
  const text = c.req.header("x-data-parallel-rank");
  if (text === undefined) return undefined;
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new EngineHttpError(400, `x-data-parallel-rank is ${JSON.stringify(text)}; expected an integer from 0`);
}

async function bodyOf(c: Context): Promise<unknown> {
  const text = await c.req.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new EngineHttpError(400, `body of ${text.length} characters is no JSON: ${(error as Error).message}`);
  }
}

const STATUS_BY_CODE: Readonly<Record<string, EngineHttpError["status"]>> = {
  "request-too-long": 400,
  "unknown-rank": 400,
  "invalid-prompt": 400,
  "too-many": 429,
  "not-running": 503,
  closed: 503,
};

function toHttpError(error: Error): EngineHttpError {
  if (error instanceof EngineHttpError) return error;
  const status = error instanceof KVEventSyncError ? STATUS_BY_CODE[error.code] : undefined;
  // What is left is a tokenizer out of reach, or a client that went: nobody reads the answer to that.
  return new EngineHttpError(status ?? 503, error.message);
}

function refuse(c: Context, { status, message }: EngineHttpError): Response {
  return c.json({ error: { message, type: ERROR_TYPES[status], param: null, code: status } }, status);
}
