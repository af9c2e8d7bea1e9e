import { createRequire } from "node:module";
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { STRATEGY_NAMES } from "../routing/strategy.ts";
import { bodySchemas } from "./bodies.ts";

const { version } = createRequire(import.meta.url)("kv-event-sync/package.json") as { readonly version: string };

const error = z.object({ error: z.string() }).openapi("Error");
const status = z.object({ status: z.string() }).openapi("Status");
const tokens = z.number().int().openapi({ description: "In tokens." });
const streamStatus = z.enum(["connecting", "catching-up", "live", "partial"]).openapi("StreamStatus");

const queryResponse = z
  .object({
    scores: z.record(z.string(), z.record(z.string(), tokens)),
    frequencies: z.array(z.number().int()).openapi({
      description: "Instances that hold the i-th block and all before it on the GPU, in blocks of their own size.",
    }),
    instances: z.record(
      z.string(),
      z.object({
        longest_matched: tokens,
        gpu: tokens,
        cpu: tokens,
        disk: tokens,
        weighted: z.number().min(0),
        lower_bound: z.literal(true).optional(),
        dp: z.record(z.string(), tokens),
        streams: z.record(z.string(), streamStatus),
      }),
    ),
    tokenized: z
      .object({ by: z.string(), tokens })
      .optional()
      .openapi({ description: "Which tokenizer served, where the query had a prompt or messages." }),
  })
  .openapi("QueryResponse");

const requests = z.number().min(0);
const candidate = z
  .object({
    pod: z.string(),
    address: z.string().nullable().openapi({ description: "Base URL of its HTTP server, where it is known." }),
    matched_tokens: tokens,
    match_percent: z.number().int().openapi({ description: "Of the prompt's full blocks, rounded down." }),
    weighted_tokens: z.number().min(0).openapi({ description: "Each weighed by the best tier that has it." }),
    running_requests: requests,
    waiting_requests: requests,
    pending_tokens: tokens,
    expected_ttft_ms: z.number().min(0),
    streams: z.record(
      z.string(),
      z.object({ status: streamStatus, last_sequence: z.number().int().nullable(), idle_ms: z.number().nullable() }),
    ),
  })
  .openapi("Candidate");
const scoreFields = {
  prompt_tokens: tokens,
  candidates: z.array(candidate).openapi({ description: "The most of the prompt first, then the lowest cost." }),
  tokenized: z.object({ by: z.string(), tokens }).optional(),
};
const scoreResponse = z.object(scoreFields).openapi("ScoreResponse");
const routeResponse = z
  .object({
    pod: z.string(),
    address: z.string().nullable(),
    strategy: z.enum(STRATEGY_NAMES),
    selection: z.string().openapi({ description: "How it was found, such as prefix_match." }),
    reason: z.string(),
    ...scoreFields,
  })
  .openapi("RouteResponse");

const listener = z.object({
  endpoint: z.string(),
  status: z.enum(["pending", "active", "failed"]),
  last_error: z.string().optional(),
  replay_endpoint: z.string().optional(),
  stream: streamStatus,
  first_sequence: z.number().int().nullable(),
  last_sequence: z.number().int().nullable(),
  idle_ms: z.number().int().nullable(),
  batches: z.number().int(),
  events: z.number().int(),
  missed_batches: z.number().int(),
  duplicate_batches: z.number().int(),
  decode_errors: z.number().int(),
  replays: z.number().int(),
  replay_failures: z.number().int(),
  restarts: z.number().int(),
});

const worker = z
  .object({
    instance_id: z.string(),
    source: z.literal("zmq"),
    status: z.enum(["pending", "active", "failed"]),
    model_name: z.string(),
    routing_group: z.string(),
    block_size: z.number().int().nullable(),
    endpoints: z.record(z.string(), z.string()),
    listeners: z.record(z.string(), listener),
  })
  .openapi("Worker");

const json = (schema: z.ZodType, description: string) => ({ description, content: { "application/json": { schema } } });
const text = (description: string) => ({ description, content: { "text/plain": { schema: z.string() } } });
const body = (schema: z.ZodType) => ({ body: { required: true, content: { "application/json": { schema } } } });
const refused = (...codes: readonly number[]) =>
  Object.fromEntries(codes.map((code) => [code, json(error, REASONS[code]!)]));

const REASONS: Readonly<Record<number, string>> = {
  400: "The body cannot be used; the error names the field, its value and the remedy.",
  404: "There is no such thing.",
  409: "Registered already, or differently.",
  413: "The body is too large.",
  415: "The body is not announced as JSON.",
  503: "Not now.",
};

/** Serves the description of the API at `/openapi.json`, from the schemas that check the bodies. */
export function describeApi(app: OpenAPIHono): void {
  for (const route of routes()) app.openAPIRegistry.registerPath(route);
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: { title: "kv-event-sync", version, description: "Which inference engine holds which KV-cache blocks." },
  });
}

function routes(): Parameters<OpenAPIHono["openAPIRegistry"]["registerPath"]>[0][] {
  const post = (path: string, summary: string, schema: z.ZodType, responses: object) =>
    createRoute({
      method: "post",
      path,
      summary,
      request: body(schema),
      responses: { ...responses, ...refused(400, 413, 415) },
    });
  const get = (path: string, summary: string, responses: object, query: z.ZodObject = z.object({})) =>
    createRoute({ method: "get", path, summary, request: { query }, responses: { ...responses } });
  const filter = z.object({ model_name: z.string().optional(), routing_group: z.string().optional() });
  return [
    post("/query", "Which instances hold how much of a prompt.", bodySchemas.query, {
      200: json(queryResponse, "The instances that hold any of it."),
      ...refused(404),
    }),
    post("/query_by_hash", "The same by the hashes of the prompt's blocks.", bodySchemas.queryByHash, {
      200: json(queryResponse, "The instances that hold any of it."),
      ...refused(404),
    }),
    post("/route", "Where a request should go, and why.", bodySchemas.route, {
      200: json(routeResponse, "The pod, and all that could have been chosen."),
      ...refused(404, 503),
    }),
    post("/score", "All pods that a request could go to.", bodySchemas.route, {
      200: json(scoreResponse, "What speaks for each."),
      ...refused(404, 503),
    }),
    post("/register", "Adds a rank of an instance.", bodySchemas.register, {
      201: json(status, "Its stream is being opened."),
      ...refused(409, 503),
    }),
    post("/unregister", "Removes an instance, or one rank of it.", bodySchemas.unregister, {
      200: json(status, "Its blocks are gone from the index."),
      ...refused(404, 503),
    }),
    get(
      "/workers",
      "The instances that are known.",
      { 200: json(z.array(worker), "With the state of their streams.") },
      filter,
    ),
    get("/dump", "All that is known, for another daemon to go on from.", {
      200: {
        description: "Lines of JSON: a header, each stream with its blocks, and an end with a checksum.",
        content: { "application/x-ndjson": { schema: z.string() } },
      },
      ...refused(503),
    }),
    get("/metrics", "Prometheus metrics.", { 200: text("In Prometheus' text format.") }),
    get("/livez", "Whether the process answers.", { 200: text("It does.") }),
    get("/readyz", "Whether the pods of the start are known.", { 200: json(status, "They are."), ...refused(503) }),
    get("/health", "As /livez.", { 200: json(status, "It does.") }),
  ];
}
