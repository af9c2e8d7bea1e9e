import { z } from "zod";
import { ConfigurationError } from "../errors.ts";
import type { TokenizerSettings } from "../tokenizer/settings.ts";

const count = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const text = z.string().min(1).max(1_024);

type TokenizerShape = {
  readonly tokenizerType: z.ZodOptional<
    z.ZodEnum<{
      remote: "remote";
      local: "local";
      character: "character";
      tiktoken: "tiktoken";
    }>
  >;
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
  tokenizerType: z.enum(["remote", "local", "character", "tiktoken"]).optional(),
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
 * An AIBrix gateway may have `tiktoken`, or endpoints that its type makes no use of: `warn` is told of what is left out.
 *
 * @throws ConfigurationError `invalid-option` for `local` without a path.
 */
export function tokenizerOf(values: TokenizerValues, warn: (message: string) => void): TokenizerSettings | undefined {
  const { tokenizerPath: path, tokenizerEndpoint: endpoint, tokenizerEndpointTemplate: endpointTemplate } = values;
  const isRemote = endpoint !== undefined || endpointTemplate !== undefined;
  const type = values.tokenizerType ?? (isRemote ? "remote" : path === undefined ? undefined : "local");
  if (type === undefined) return undefined;
  if (type === "tiktoken") {
    warn("tokenizer tiktoken is not there: no prompt is tokenized; set AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE=remote");
    return undefined;
  }
  if (type !== "remote" && isRemote)
    warn(`tokenizer ${type} takes no endpoint: it is not used; set the type to remote`);
  if (type === "local" && path === undefined) {
    throw new ConfigurationError(
      "invalid-option",
      "tokenizer local takes the folder of a model: give --tokenizer-path",
    );
  }
  const optional = {
    path,
    ...(type === "remote" && { endpoint, endpointTemplate }),
    timeoutMs: values.tokenizerTimeoutMs,
    healthCheckMs: values.tokenizerHealthCheckMs,
    ttlMs: values.tokenizerTtlMs,
    maxTokenizers: values.maxTokenizers,
  };
  return { type, ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) };
}
