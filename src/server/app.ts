import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Registry } from "prom-client";
import { systemClock } from "../clock.ts";
import type { Registration, Unregistration } from "../discovery/registered.ts";
import { KVEventSyncError } from "../errors.ts";
import type { PrefixIndexer } from "../indexer/indexer.ts";
import { exposition } from "../metrics/exposition.ts";
import type { RequestMetrics } from "../metrics.ts";
import type { RequestRouter } from "../routing/request-router.ts";
import type { PodDirectory } from "../sync/status.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { readHashQuery, readRegistration, readRoute, readUnregistration } from "./bodies.ts";
import { Dumps } from "./dump.ts";
import { HttpError } from "./http-error.ts";
import { describeApi } from "./openapi.ts";
import { readAnyQuery } from "./prompt.ts";
import { answerHashQuery, answerQuery } from "./query.ts";
import { answerRoute, answerScore } from "./route.ts";
import { workerOf } from "./workers.ts";

/** Whom pods register with; `RegisteredPods` is one. */
export interface PodRegistry {
  register(registration: Registration): void;
  unregister(unregistration: Unregistration): boolean;
}

/** What the API stands on. */
export interface ServerParts {
  readonly directory: PodDirectory;
  readonly indexer: PrefixIndexer;
  /** Default none: `/register` and `/unregister` answer 503. */
  readonly registered?: PodRegistry;
  readonly registry: Registry;
  /** Hears of each answer; a path that is none of ours counts as `other`. Default nobody. */
  readonly requests?: RequestMetrics;
  /** Makes tokens of prompts. Default none: a query without tokens is answered by 503. */
  readonly tokenizer?: Tokenizer | null;
  /** Default none: `/route` and `/score` answer 503. */
  readonly router?: RequestRouter;
  readonly isReady: () => boolean;
  /** The lines of a dump; whoever has them knows the seed of the hashes. Default none: `/dump` answers 503. */
  readonly dump?: () => AsyncIterable<string>;
  /** Hears of errors that are ours. */
  readonly onError?: (error: Error) => void;
}

/** As Dynamo's; a prompt of a million tokens fits. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** Which methods a path takes, for those that come with another. */
const METHODS: Readonly<Record<string, string>> = {
  "/query": "POST",
  "/query_by_hash": "POST",
  "/route": "POST",
  "/score": "POST",
  "/register": "POST",
  "/unregister": "POST",
  "/workers": "GET, HEAD",
  "/dump": "GET, HEAD",
  "/metrics": "GET, HEAD",
  "/livez": "GET, HEAD",
  "/readyz": "GET, HEAD",
  "/health": "GET, HEAD",
  "/openapi.json": "GET, HEAD",
};

/** The API without a socket: `app.request(…)` answers. */
export function createApp(parts: ServerParts): OpenAPIHono {
  const app = new OpenAPIHono();
  const { dump, requests, onError = () => {} } = parts;
  if (requests !== undefined) app.use(recorder(requests));
  const dumps = dump === undefined ? null : new Dumps({ lines: dump, onError });
  const limit = bodyLimit({
    maxSize: MAX_BODY_BYTES,
    onError: () => {
      throw new HttpError(413, `body exceeds ${MAX_BODY_BYTES} bytes; ask for a shorter prompt`);
    },
  });

  app.post("/query", limit, async (c) => {
    const { indexer, directory } = parts;
    const { query, tokenized } = await readAnyQuery(await bodyOf(c), parts.tokenizer ?? null, c.req.raw.signal);
    const answer = answerQuery(query, indexer, directory);
    return c.json(tokenized === null ? answer : { ...answer, tokenized });
  });
  app.post("/query_by_hash", limit, async (c) => {
    const { indexer, directory } = parts;
    return c.json(answerHashQuery(readHashQuery(await bodyOf(c)), indexer, directory));
  });
  for (const [path, answer] of [
    ["/route", answerRoute],
    ["/score", answerScore],
  ] as const) {
    app.post(path, limit, async (c) => {
      const { router, tokenizer = null } = parts;
      if (router === undefined) throw new HttpError(503, "routing is off here");
      const body = await bodyOf(c);
      const { query, tokenized } = await readAnyQuery(body, tokenizer, c.req.raw.signal);
      const told = answer(router, readRoute(body, query), query.tokens);
      return c.json(tokenized === null ? told : { ...told, tokenized });
    });
  }
  app.post("/register", limit, async (c) => {
    registryOf(parts).register(readRegistration(await bodyOf(c)));
    return c.json({ status: "ok" }, 201);
  });
  app.post("/unregister", limit, async (c) => {
    const unregistration = readUnregistration(await bodyOf(c));
    if (registryOf(parts).unregister(unregistration)) return c.json({ status: "ok" });
    const { instanceId, modelName } = unregistration;
    throw new HttpError(404, `instance_id is ${JSON.stringify(instanceId)}: not registered so for model ${modelName}`);
  });
  app.get("/workers", (c) => {
    const { model_name: model, routing_group: group } = c.req.query();
    const isWanted = ({ model_name, routing_group }: ReturnType<typeof workerOf>): boolean =>
      (model === undefined || model_name === model) && (group === undefined || routing_group === group);
    return c.json(parts.directory.pods().map(workerOf).filter(isWanted));
  });
  app.get("/dump", (c) => {
    if (dumps === null) throw new HttpError(503, "dumps are off here");
    if (!parts.isReady()) throw new HttpError(503, "there is not enough to dump yet; /readyz tells when there is");
    c.header("content-type", "application/x-ndjson");
    return c.req.method === "HEAD" ? c.body(null) : c.body(dumps.open());
  });
  app.get("/metrics", async (c) =>
    c.body(await exposition(parts.registry), 200, { "content-type": parts.registry.contentType }),
  );
  app.get("/livez", (c) => c.text("ok\n"));
  // As Dynamo's: it tells of the process, not of the index.
  app.get("/health", (c) => c.json({ status: "ok" }));
  app.get("/readyz", (c) => (parts.isReady() ? c.json({ status: "ok" }) : c.json({ status: "starting" }, 503)));
  describeApi(app);
  app.notFound((c) => refuse(c, notFound(c)));
  app.onError((error, c) => refuse(c, toHttpError(error, parts)));
  return app;
}

function recorder(requests: RequestMetrics): MiddlewareHandler {
  return async (c, next) => {
    const startedMs = systemClock.now();
    await next();
    const { status } = c.res;
    const outcome = status < 400 ? "success" : status < 500 ? "client_error" : "server_error";
    const path = Object.hasOwn(METHODS, c.req.path) ? c.req.path : "other";
    requests.answered(path, outcome, (systemClock.now() - startedMs) / 1_000);
  };
}

function registryOf({ registered }: ServerParts): PodRegistry {
  if (registered !== undefined) return registered;
  throw new HttpError(503, "registration is off here; pods come from elsewhere");
}

async function bodyOf(c: Context): Promise<unknown> {
  const type = c.req.header("content-type");
  if (!/^application\/(json|[a-z0-9.+-]+\+json)\s*(;|$)/i.test(type ?? "")) {
    const given = type === undefined ? "missing" : JSON.stringify(type);
    throw new HttpError(415, `content-type is ${given}: send JSON with the header "content-type: application/json"`);
  }
  const text = await c.req.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, `body of ${text.length} characters is no JSON: ${(error as Error).message}`);
  }
}

function notFound(c: Context): HttpError {
  const allowed = METHODS[c.req.path];
  if (allowed === undefined) return new HttpError(404, `there is no ${c.req.path}; /openapi.json tells what there is`);
  c.header("allow", allowed);
  return new HttpError(405, `${c.req.path} takes ${allowed}, not ${c.req.method}`);
}

function toHttpError(error: Error, { onError }: ServerParts): HttpError | undefined {
  if (error instanceof HttpError) return error;
  if (error instanceof KVEventSyncError) {
    if (error.code === "conflict") return new HttpError(409, error.message);
    if (error.code === "too-many") return new HttpError(503, error.message);
    if (error.code.startsWith("invalid-")) return new HttpError(400, error.message);
  }
  // Whoever hung up while sending a body will not read this, and it is no fault of ours.
  if ("code" in error && error.code === "ECONNRESET") return new HttpError(400, "the body ended before its end");
  onError?.(error);
  return undefined;
}

/** Our own faults are not explained to strangers. */
function refuse(c: Context, error: HttpError | undefined): Response {
  if (error === undefined) return c.json({ error: "internal error; the log tells more" }, 500);
  return c.json({ error: error.message }, error.status);
}
