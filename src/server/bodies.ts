import { z } from "@hono/zod-openapi";
import type { Registration, Unregistration } from "../discovery/registered.ts";
import type { RouteRequest } from "../routing/request-router.ts";
import { STRATEGY_NAMES } from "../routing/strategy.ts";
import { firstIssue } from "../schema-issue.ts";
import { HttpError } from "./http-error.ts";

/** Token ids are 32 bits on the wire. */
const MAX_TOKEN_ID = 0xffff_ffff;
/** A million is the longest context that engines are run with; the index is asked on the loop that follows them. */
const MAX_TOKENS = 2 ** 20;
const MAX_NAME_CHARACTERS = 512;

const name = z.string().min(1).max(MAX_NAME_CHARACTERS);
/** Dynamo's instance ids are numbers of 64 bits, of which JSON in JavaScript keeps 53; ours are names. */
const idNumber = z.number().int("expected a whole number up to 9007199254740991; send others as a string").min(0);
const instanceId = z.union([name, idNumber], { error: "expected a name, or a number from 0" });
const rank = z.number().int().min(0).max(65_535);
/** What would make blocks others than they are here. */
const unsupported = z.union([z.null(), z.literal(""), z.literal("default")], {
  error: "is not supported here; leave it out",
});

const tokenId = z.number().int().min(0).max(MAX_TOKEN_ID);
const blockKeys = z.array(z.unknown()).nullable();

const documentedQuery = z
  .object({
    token_ids: z
      .array(tokenId)
      .max(MAX_TOKENS)
      .optional()
      .openapi({ description: "The prompt, tokenized; without it prompt or messages." }),
    prompt: z.string().nullish().openapi({ description: "A text, for a daemon with a tokenizer." }),
    messages: z
      .array(z.looseObject({ role: z.string() }))
      .nullish()
      .openapi({ description: "A chat, for a daemon with a tokenizer; with the options of vLLM's /tokenize." }),
    model_name: name,
    routing_group: name.nullish().openapi({ description: "Default: default." }),
    lora_name: z.string().nullish().openapi({ description: "Adapter by name; wins over lora_id." }),
    lora_id: z.number().int().nullish().openapi({ description: "Adapter by id; below 1: the base model." }),
    cache_salt: z.string().nullish(),
    extra_keys: z
      .array(blockKeys)
      .max(MAX_TOKENS)
      .nullish()
      .openapi({ description: "One entry per block, as in BlockStored, without adapter and salt." }),
    tenant_id: unsupported.optional(),
  })
  .openapi("QueryRequest");

/** A hash of 64 bits; JSON keeps 53 of a number's. */
const seqHash = z.union([z.number(), z.string()]).refine(isHash, {
  error: "expected a number up to 9007199254740991, or a text of decimal digits or of 0x and hexadecimal ones",
});

function isHash(value: unknown): boolean {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0;
  return typeof value === "string" && /^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(value);
}

const documentedHashQuery = z
  .object({
    seq_hashes: z
      .array(seqHash)
      .max(MAX_TOKENS)
      .openapi({ description: "Of the prompt's blocks, chained: rolling XXH3-64 of a daemon with --hash xxh3." }),
    block_size: z
      .number()
      .int()
      .min(1)
      .max(2 ** 20)
      .openapi({ description: "Tokens." }),
    model_name: name,
    routing_group: name.nullish().openapi({ description: "Default: default." }),
    lora_name: z.string().nullish(),
    lora_id: z.number().int().nullish(),
    tenant_id: unsupported.optional(),
  })
  .openapi("QueryByHashRequest");
const hashQuery = documentedHashQuery.extend({
  seq_hashes: longArray(seqHash, isHash),
});

/** The same, where a body full of mistakes costs no more than one. */
const query = documentedQuery.extend({
  token_ids: longArray(tokenId, (value) => typeof value === "number" && value >>> 0 === value),
  extra_keys: longArray(blockKeys, Array.isArray).nullish(),
});

/**
 * An array of up to `MAX_TOKENS` items, whose first bad one ends the check: `z.array` keeps an issue for each of them,
 * which for 8 MiB takes ten seconds and two gigabytes. `isGood` passes most items at a fraction of the schema's cost.
 */
function longArray<Item>(item: z.ZodType<Item>, isGood: (value: unknown) => boolean): z.ZodType<readonly Item[]> {
  return z.custom<readonly Item[]>().superRefine((value: unknown, context) => {
    if (!Array.isArray(value)) {
      context.addIssue({ code: "custom", message: "expected array" });
      return;
    }
    if (value.length > MAX_TOKENS) {
      const message = `${value.length} entries are too many; send at most ${MAX_TOKENS}`;
      // Where the first too many stands: to show all of them would cost more than to take them.
      context.addIssue({ code: "custom", message, path: [MAX_TOKENS] });
      return;
    }
    for (const [at, each] of value.entries()) {
      if (isGood(each)) continue;
      const { error } = item.safeParse(each);
      if (error === undefined) continue;
      context.addIssue({ code: "custom", message: error.issues[0]!.message, path: [at] });
      return;
    }
  });
}

const MAX_PODS = 10_000;
const requests = z.number().min(0).max(Number.MAX_SAFE_INTEGER).nullish();

/** What `/route` and `/score` take beside what `/query` takes. */
const routeFields = {
  pods: z
    .array(z.string())
    .max(MAX_PODS)
    .nullish()
    .openapi({ description: "Only these; default all that can take requests." }),
  strategy: z.enum(STRATEGY_NAMES).nullish().openapi({ description: "Default: the daemon's." }),
  loads: z
    .record(z.string(), z.object({ running: requests, waiting: requests }))
    .nullish()
    .openapi({ description: "Requests by pod, where the caller knows better than the daemon." }),
};
const route = z.object(routeFields);

const register = z
  .object({
    instance_id: instanceId,
    endpoint: z
      .string()
      .max(1_024)
      .openapi({ description: "The engine's PUB socket.", example: "tcp://10.0.0.1:5557" }),
    model_name: name,
    block_size: z.number().int().min(1).nullish().openapi({ description: "Tokens." }),
    routing_group: name.nullish(),
    dp_rank: rank.nullish(),
    replay_endpoint: z.string().max(1_024).nullish().openapi({ description: "The engine's ROUTER socket." }),
    topic: z.string().max(MAX_NAME_CHARACTERS).nullish(),
    lora_id: z.number().int().min(-1).nullish(),
    http_url: z.string().max(1_024).nullish().openapi({
      description: "The engine's HTTP server, for who sends requests there.",
      example: "http://10.0.0.1:8000",
    }),
    additional_salt: unsupported.optional(),
    tenant_id: unsupported.optional(),
  })
  .openapi("RegisterRequest");

const unregister = z
  .object({ instance_id: instanceId, model_name: name, routing_group: name.nullish(), dp_rank: rank.nullish() })
  .openapi("UnregisterRequest");

/** For the OpenAPI document. */
export const bodySchemas: Readonly<Record<"query" | "queryByHash" | "route" | "register" | "unregister", z.ZodType>> = {
  query: documentedQuery,
  queryByHash: documentedHashQuery,
  route: documentedQuery.extend(routeFields).openapi("RouteRequest"),
  register,
  unregister,
};

/** What is asked of the index. */
export interface QueryRequest {
  readonly tokens: Uint32Array;
  readonly model: string;
  readonly routingGroup: string;
  /** Name or id; −1 for the base model. */
  readonly lora: string | number;
  readonly cacheSalt: string | null;
  readonly extraKeys: readonly (readonly unknown[] | null)[] | null;
}

/** Throws HttpError 400. */
export function readQuery(body: unknown): QueryRequest {
  const { token_ids, model_name, routing_group, lora_name, lora_id, cache_salt, extra_keys } = checked(query, body);
  return {
    tokens: Uint32Array.from(token_ids),
    model: model_name,
    routingGroup: routing_group ?? "default",
    lora: lora_name ? lora_name : (lora_id ?? -1),
    cacheSalt: cache_salt ?? null,
    extraKeys: extra_keys ?? null,
  };
}

/** What is asked of the index by hashes. */
export interface HashQueryRequest {
  readonly hashes: BigUint64Array;
  readonly blockSize: number;
  readonly model: string;
  readonly routingGroup: string;
  /** Name or id; −1 for the base model. */
  readonly lora: string | number;
}

/** Throws HttpError 400. */
export function readHashQuery(body: unknown): HashQueryRequest {
  const { seq_hashes, block_size, model_name, routing_group, lora_name, lora_id } = checked(hashQuery, body);
  return {
    hashes: BigUint64Array.from(seq_hashes, (hash) => BigInt(hash)),
    blockSize: block_size,
    model: model_name,
    routingGroup: routing_group ?? "default",
    lora: lora_name ? lora_name : (lora_id ?? -1),
  };
}

/** What is asked of a router about the prompt of this question. Throws HttpError 400. */
export function readRoute(body: unknown, query: QueryRequest): RouteRequest {
  const { pods, strategy, loads } = checked(route, body);
  const { tokens, model, routingGroup, lora, cacheSalt, extraKeys } = query;
  return {
    model,
    prompt: tokens,
    routingGroup,
    lora,
    identity: { ...(cacheSalt !== null && { cacheSalt }), ...(extraKeys !== null && { extraKeys }) },
    ...(pods != null && { pods }),
    ...(strategy != null && { strategy }),
    ...(loads != null && { loads: withoutNulls(loads) }),
  };
}

function withoutNulls(loads: NonNullable<z.output<typeof route>["loads"]>): NonNullable<RouteRequest["loads"]> {
  return Object.fromEntries(
    Object.entries(loads).map(([pod, { running, waiting }]) => [
      pod,
      { ...(running != null && { running }), ...(waiting != null && { waiting }) },
    ]),
  );
}

/** One rank of an instance. Throws HttpError 400. */
export function readRegistration(body: unknown): Registration {
  const read = checked(register, body);
  return {
    instanceId: String(read.instance_id),
    modelName: read.model_name,
    endpoint: read.endpoint,
    ...(read.replay_endpoint != null && { replayEndpoint: read.replay_endpoint }),
    ...(read.block_size != null && { blockSize: read.block_size }),
    ...(read.routing_group != null && { routingGroup: read.routing_group }),
    ...(read.dp_rank != null && { dpRank: read.dp_rank }),
    ...(read.topic != null && { topic: read.topic }),
    ...(read.lora_id != null && { loraId: read.lora_id }),
    ...(read.http_url != null && { httpUrl: read.http_url }),
  };
}

/** Throws HttpError 400. */
export function readUnregistration(body: unknown): Unregistration {
  const read = checked(unregister, body);
  return {
    instanceId: String(read.instance_id),
    modelName: read.model_name,
    ...(read.routing_group != null && { routingGroup: read.routing_group }),
    ...(read.dp_rank != null && { dpRank: read.dp_rank }),
  };
}

/** What the schema makes of a body. Throws HttpError 400. */
export function checked<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const { path, value, problem } = firstIssue(parsed.error, body, []);
  throw new HttpError(400, path === "" ? `body is ${value}: ${problem}` : `${path} is ${value}: ${problem}`);
}
