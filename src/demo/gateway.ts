import { Registry } from "prom-client";
import type { Clock } from "../clock.ts";
import { Gateway, type Routed } from "../gateway/gateway.ts";
import type { PrefixIndexer } from "../indexer/indexer.ts";
import { registerRoutingSeries } from "../metrics/routing.ts";
import { resolveRoutingOptions } from "../routing/options.ts";
import { RequestRouter } from "../routing/request-router.ts";
import { startEngineServers } from "../simulator/openai/server.ts";
import type { SimulatedPod } from "../simulator/simulated-pod.ts";
import type { PodDirectory } from "../sync/status.ts";
import { characterTokenizer } from "../tokenizer/character.ts";
import { shortName } from "./story.ts";
import type { Line } from "./text.ts";

/** One answer of the gateway. */
export interface GatewayAnswer {
  readonly pod: string;
  /** To its first token, as the client sees it. */
  readonly ttftMs: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** Why there. */
  readonly reason: string;
}

export interface GatewayParts {
  readonly directory: PodDirectory;
  readonly indexer: PrefixIndexer;
  readonly pods: readonly SimulatedPod[];
  readonly model: string;
  readonly blockSize: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Each character is a token; it takes the simulated engine a third of a second. */
const PROMPT = "A prompt that nobody has sent before, long enough for its first token to take its time. ".repeat(38);

/**
 * Gives the engines their HTTP API and puts a gateway before them; sends the same prompt through it twice. `meanwhile` is
 * done between the two.
 */
export async function sendTwice(
  parts: GatewayParts,
  meanwhile: () => Promise<void>,
): Promise<readonly [GatewayAnswer, GatewayAnswer]> {
  const { directory, indexer, pods, model, blockSize, clock } = parts;
  await using tokenizer = characterTokenizer();
  await using engines = await startEngineServers({ pods, tokenizer, clock });
  const urls = new Map(engines.servers.map(({ pod, url }) => [pod.key, url]));
  const withUrls: PodDirectory = {
    pods: () =>
      directory.pods().map((info) => {
        const httpUrl = urls.get(info.pod.key);
        return httpUrl === undefined ? info : { ...info, pod: { ...info.pod, httpUrl } };
      }),
  };
  const router = new RequestRouter({
    indexer,
    directory: withUrls,
    tokenizer,
    metrics: registerRoutingSeries(new Registry(), ""),
    engineLoads: null,
    // Without beliefs, so that the second answer is what the engine's events have brought about.
    options: resolveRoutingOptions({ blockSize, speculativeTtlMs: 0 }),
    clock,
    random: Math.random,
  });
  const routed: Routed[] = [];
  await using gateway = new Gateway({ router, directory: withUrls, clock, onRouted: (each) => routed.push(each) });
  const { url } = await gateway.listen({ host: "127.0.0.1", port: 0 });
  const send = async (): Promise<GatewayAnswer> => {
    const answer = await complete(url, model, parts);
    return { ...answer, reason: routed.at(-1)?.reason ?? "" };
  };
  const first = await send();
  await meanwhile();
  return [first, await send()];
}

export function renderGateway(answers: readonly GatewayAnswer[]): readonly Line[] {
  return [
    [{ text: `The same prompt of ${answers[0]?.promptTokens ?? 0} tokens, twice through the gateway:`, style: "bold" }],
    ...answers.map((answer, at): Line => {
      const { pod, ttftMs, cachedTokens, reason } = answer;
      const why = reason.startsWith(pod) ? reason.slice(pod.length).trim() : reason;
      return [
        { text: `  ${at + 1}.  ${shortName(pod)}  ` },
        { text: `${ttftMs.toFixed(0).padStart(4)} ms`, style: at === 0 ? "yellow" : "green" },
        { text: ` to the first token, ${String(cachedTokens).padStart(4)} cached: it ${why}` },
      ];
    }),
  ];
}

async function complete(
  url: string,
  model: string,
  { clock, signal }: GatewayParts,
): Promise<Omit<GatewayAnswer, "reason">> {
  const startedMs = clock.now();
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model,
      prompt: PROMPT,
      max_tokens: 4,
      stream: true,
      stream_options: { include_usage: true },
    }),
    signal,
  });
  if (!response.ok || response.body === null) throw new Error(`gateway: ${response.status} ${await response.text()}`);
  let ttftMs: number | undefined;
  let text = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.includes("data: ")) ttftMs ??= clock.now() - startedMs;
  }
  const usage = /"usage":(\{"prompt_tokens".*?\}\}?)/.exec(text)?.[1];
  const { prompt_tokens: promptTokens, prompt_tokens_details: details } = JSON.parse(usage ?? "{}");
  return {
    pod: response.headers.get("target-pod") ?? "",
    ttftMs: ttftMs ?? Number.POSITIVE_INFINITY,
    promptTokens: promptTokens ?? 0,
    cachedTokens: details?.cached_tokens ?? 0,
  };
}
