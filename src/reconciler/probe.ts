import type { Pod } from "../discovery/discovery.ts";
import { type EngineState, readMetrics, readSleeping } from "./engine-state.ts";

/** vLLM's metrics have some hundred kilobytes. */
const MAX_BODY_BYTES = 8 * 1_048_576;

/** Base URL of the pod's HTTP server: at the host of its events. `null` where they come by something else than TCP. */
export function engineUrlOf({ ranks }: Pod, httpPort: number): string | null {
  const host = /^tcp:\/\/(\[[^\]]+\]|[^:]+):\d+$/.exec(ranks[0]?.endpoint ?? "")?.[1];
  return host === undefined ? null : `http://${host}:${httpPort}`;
}

/**
 * Asks an engine. `/is_sleeping` is there in vLLM's development mode alone: what is not there is not told. Rejects where
 * it does not answer in time, or with too much.
 */
export async function probeEngine(url: string, timeoutMs: number, signal: AbortSignal): Promise<EngineState> {
  const metrics = await fetchText(`${url}/metrics`, timeoutMs, signal);
  const sleeping = await fetchText(`${url}/is_sleeping`, timeoutMs, signal);
  if (metrics === null && sleeping === null) {
    throw new Error(`${url} has neither /metrics nor /is_sleeping: is this the engine's HTTP port?`);
  }
  return {
    isSleeping: sleeping === null ? null : readSleeping(sleeping),
    ...(metrics === null ? { startedAtSeconds: null, gpuBlocks: null } : readMetrics(metrics)),
  };
}

/** The body of an answer of an engine; `null` for one other than 200. Rejects as `probeEngine`. */
export async function fetchText(url: string, timeoutMs: number, signal: AbortSignal): Promise<string | null> {
  const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) });
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel();
    return null;
  }
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body) {
    bytes += part.length;
    if (bytes > MAX_BODY_BYTES) throw new Error(`${url} answers with more than ${MAX_BODY_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
