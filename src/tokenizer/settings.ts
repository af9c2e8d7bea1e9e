import type { Clock } from "../clock.ts";
import { ConfigurationError } from "../errors.ts";
import type { PodDirectory } from "../sync/status.ts";
import { characterTokenizer } from "./character.ts";
import { localTokenizer } from "./local.ts";
import { TokenizerPool, type TokenizerPoolObserver } from "./pool.ts";
import { remoteTokenizer } from "./remote.ts";
import type { TokenizerKind } from "./tokenizer.ts";

/** Which tokenizer there is. */
export interface TokenizerSettings {
  /**
   * `remote` asks engines, and files where none answers, if `path` is given; `local` asks files alone; `character` takes
   * each byte for a token, as simulated engines do.
   */
  readonly type: TokenizerKind;
  /** Folder of a model with its `tokenizer.json`. */
  readonly path?: string;
  /** Base URL of the engine, or service of engines, that tokenizes for all models. Default each model's own pods. */
  readonly endpoint?: string;
  /** Base URL of a pod's engine, with `%s` for its host. Default `http://%s:8000`, as AIBrix. */
  readonly endpointTemplate?: string;
  /** Default 5,000, as AIBrix. */
  readonly timeoutMs?: number;
  /** Default 30,000, as AIBrix. */
  readonly healthCheckMs?: number;
  /** Default 300,000, as AIBrix. */
  readonly ttlMs?: number;
  /** Engines asked at a time. Default 100, as AIBrix. */
  readonly maxTokenizers?: number;
}

export interface TokenizerSurroundings {
  /** Whose pods are the models' engines. */
  readonly directory: PodDirectory;
  readonly observer: TokenizerPoolObserver;
  readonly clock: Clock;
}

const DEFAULT_TEMPLATE = "http://%s:8000";

/**
 * The pool that settings ask for.
 *
 * @throws ConfigurationError `invalid-option` for a template without `%s`, an endpoint that is no HTTP URL, and numbers
 *   out of range.
 */
export function tokenizerPool(settings: TokenizerSettings, surroundings: TokenizerSurroundings): TokenizerPool {
  const {
    type,
    path,
    endpoint,
    endpointTemplate = DEFAULT_TEMPLATE,
    timeoutMs,
    healthCheckMs,
    ttlMs,
    maxTokenizers,
  } = settings;
  const common = {
    observer: surroundings.observer,
    clock: surroundings.clock,
    ...(healthCheckMs !== undefined && { healthCheckMs }),
    ...(ttlMs !== undefined && { ttlMs }),
    ...(maxTokenizers !== undefined && { maxTokenizers }),
  };
  if (type === "character") return new TokenizerPool({ ...common, fallbacks: [characterTokenizer()] });
  const local = path === undefined ? [] : [localTokenizer({ path, clock: surroundings.clock })];
  if (type === "local") {
    if (path === undefined)
      throw new ConfigurationError("invalid-option", "tokenizer local takes files: give their path");
    return new TokenizerPool({ ...common, fallbacks: local });
  }
  checkTemplate(endpointTemplate);
  const connect = (url: string) =>
    remoteTokenizer({ endpoint: url, clock: surroundings.clock, ...(timeoutMs !== undefined && { timeoutMs }) });
  // Made for its checks alone: it opens nothing before it is asked.
  connect(endpoint ?? urlOf("localhost", endpointTemplate));
  const podsOf = (model: string): readonly string[] => urlsOf(surroundings.directory, model, endpointTemplate);
  return new TokenizerPool({
    ...common,
    connect,
    fallbacks: local,
    endpointsOf: endpoint === undefined ? podsOf : () => [endpoint],
  });
}

/** The HTTP URLs of a model's engines, by where they publish; those that publish without TCP have none. */
function urlsOf(directory: PodDirectory, model: string, template: string): readonly string[] {
  const serving = directory.pods().filter(({ pod }) => pod.modelName === model);
  const endpoints = serving.flatMap(({ pod }) => pod.ranks.map(({ endpoint }) => endpoint));
  const hosts = endpoints.map((endpoint) => /^(?:tcp|wss?):\/\/(\[[^\]]+\]|[^:/]+)/.exec(endpoint)?.[1]);
  const known = hosts.filter((host) => host !== undefined);
  return [...new Set(known)].map((host) => urlOf(host, template));
}

function urlOf(host: string, template: string): string {
  return template.replace("%s", () => host);
}

function checkTemplate(template: string): void {
  if (template.includes("%s")) return;
  throw new ConfigurationError(
    "invalid-option",
    `tokenizer endpoint template is ${JSON.stringify(template)}: use one with %s for the host, such as ${DEFAULT_TEMPLATE}`,
  );
}
