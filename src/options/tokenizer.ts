import { z } from "zod";
import { ConfigurationError } from "../errors.ts";
import type { TokenizerSettings } from "../tokenizer/settings.ts";

const count = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const text = z.string().min(1).max(1_024);

type TokenizerShape = {
  readonly tokenizerType: z.ZodOptional<z.ZodEnum<{ remote: "remote"; local: "local"; character: "character" }>>;
  readonly tokenizerPath: z.ZodOptional<z.ZodString>;
  readonly tokenizerEndpoint: z.ZodOptional<z.ZodString>;
  readonly tokenizerEndpointTemplate: z.ZodOptional<z.ZodString>;
  readonly tokenizerTimeoutMs: z.ZodOptional<z.ZodNumber>;
  readonly tokenizerHealthCheckMs: z.ZodOptional<z.ZodNumber>;
  readonly tokenizerTtlMs: z.ZodOptional<z.ZodNumber>;
  readonly maxTokenizers: z.ZodOptional<z.ZodNumber>;
};

/** Options of the tokenizer, as the schema of all options has them. */
export const tokenizerShape: TokenizerShape = {
  tokenizerType: z.enum(["remote", "local", "character"]).optional(),
  tokenizerPath: text.optional(),
  tokenizerEndpoint: text.optional(),
  tokenizerEndpointTemplate: text.optional(),
  tokenizerTimeoutMs: count.optional(),
  tokenizerHealthCheckMs: count.optional(),
  tokenizerTtlMs: count.optional(),
  maxTokenizers: count.optional(),
};

type TokenizerValues = z.output<z.ZodObject<TokenizerShape>>;

/**
 * The tokenizer that options ask for: by its type, or by an endpoint, a template or a path alone; else none.
 *
 * @throws ConfigurationError `invalid-option` for an endpoint of a tokenizer that has none, and for `local` without a path.
 */
export function tokenizerOf(values: TokenizerValues): TokenizerSettings | undefined {
  const { tokenizerPath: path, tokenizerEndpoint: endpoint, tokenizerEndpointTemplate: endpointTemplate } = values;
  const isRemote = endpoint !== undefined || endpointTemplate !== undefined;
  const type = values.tokenizerType ?? (isRemote ? "remote" : path === undefined ? undefined : "local");
  if (type === undefined) return undefined;
  if (type !== "remote" && isRemote) {
    throw new ConfigurationError("invalid-option", `tokenizer ${type} takes no endpoint: leave it out, or use remote`);
  }
  if (type === "local" && path === undefined) {
    throw new ConfigurationError(
      "invalid-option",
      "tokenizer local takes the folder of a model: give --tokenizer-path",
    );
  }
  const optional = {
    path,
    endpoint,
    endpointTemplate,
    timeoutMs: values.tokenizerTimeoutMs,
    healthCheckMs: values.tokenizerHealthCheckMs,
    ttlMs: values.tokenizerTtlMs,
    maxTokenizers: values.maxTokenizers,
  };
  return { type, ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) };
}
