import { z } from "@hono/zod-openapi";
import type { Registration, Unregistration } from "../discovery/registered.ts";
import { firstIssue } from "../schema-issue.ts";
import { HttpError } from "./http-error.ts";

/** Token ids are 32 bits on the wire. */
const MAX_TOKEN_ID = 0xffff_ffff;
const MAX_NAME_CHARACTERS = 512;

const name = z.string().min(1).max(MAX_NAME_CHARACTERS);
/** Dynamo's instance ids are numbers; ours are names. */
const instanceId = z.union([name, z.number().int().min(0)], { error: "expected a name, or a number from 0" });
const rank = z.number().int().min(0).max(65_535);
/** What would make blocks others than they are here. */
const unsupported = z.union([z.null(), z.literal(""), z.literal("default")], {
  error: "is not supported here; leave it out",
});

const query = z
  .object({
    token_ids: z.array(z.number().int().min(0).max(MAX_TOKEN_ID)).openapi({ description: "The prompt, tokenized." }),
    model_name: name,
    routing_group: name.default("default"),
    lora_name: z
      .string()
      .max(MAX_NAME_CHARACTERS)
      .nullish()
      .openapi({ description: "Adapter by name; wins over lora_id." }),
    lora_id: z.number().int().nullish().openapi({ description: "Adapter by id; below 1: the base model." }),
    cache_salt: z.string().max(MAX_NAME_CHARACTERS).nullish(),
    extra_keys: z
      .array(z.array(z.unknown()).nullable())
      .nullish()
      .openapi({ description: "One entry per block, as in BlockStored, without adapter and salt." }),
    tenant_id: unsupported.optional(),
  })
  .openapi("QueryRequest");

const register = z
  .object({
    instance_id: instanceId,
    endpoint: z
      .string()
      .max(1_024)
      .openapi({ description: "The engine's PUB socket.", example: "tcp://10.0.0.1:5557" }),
    model_name: name,
    block_size: z.number().int().min(1).optional().openapi({ description: "Tokens." }),
    routing_group: name.optional(),
    dp_rank: rank.optional(),
    replay_endpoint: z.string().max(1_024).nullish().openapi({ description: "The engine's ROUTER socket." }),
    topic: z.string().max(MAX_NAME_CHARACTERS).optional(),
    lora_id: z.number().int().min(-1).optional(),
    additional_salt: unsupported.optional(),
    tenant_id: unsupported.optional(),
  })
  .openapi("RegisterRequest");

const unregister = z
  .object({ instance_id: instanceId, model_name: name, routing_group: name.optional(), dp_rank: rank.optional() })
  .openapi("UnregisterRequest");

/** For the OpenAPI document. */
export const bodySchemas: Readonly<Record<"query" | "register" | "unregister", z.ZodType>> = {
  query,
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

/** Throws HttpError 400, as the others. */
export function readQuery(body: unknown): QueryRequest {
  const { token_ids, model_name, routing_group, lora_name, lora_id, cache_salt, extra_keys } = checked(query, body);
  return {
    tokens: Uint32Array.from(token_ids),
    model: model_name,
    routingGroup: routing_group,
    lora: lora_name ? lora_name : (lora_id ?? -1),
    cacheSalt: cache_salt ?? null,
    extraKeys: extra_keys ?? null,
  };
}

export function readRegistration(body: unknown): Registration {
  const read = checked(register, body);
  return {
    instanceId: String(read.instance_id),
    modelName: read.model_name,
    endpoint: read.endpoint,
    ...(read.replay_endpoint != null && { replayEndpoint: read.replay_endpoint }),
    ...(read.block_size !== undefined && { blockSize: read.block_size }),
    ...(read.routing_group !== undefined && { routingGroup: read.routing_group }),
    ...(read.dp_rank !== undefined && { dpRank: read.dp_rank }),
    ...(read.topic !== undefined && { topic: read.topic }),
    ...(read.lora_id !== undefined && { loraId: read.lora_id }),
  };
}

export function readUnregistration(body: unknown): Unregistration {
  const read = checked(unregister, body);
  return {
    instanceId: String(read.instance_id),
    modelName: read.model_name,
    ...(read.routing_group !== undefined && { routingGroup: read.routing_group }),
    ...(read.dp_rank !== undefined && { dpRank: read.dp_rank }),
  };
}

function checked<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const { path, value, problem } = firstIssue(parsed.error, body, []);
  throw new HttpError(400, path === "" ? `body is ${value}: ${problem}` : `${path} is ${value}: ${problem}`);
}
