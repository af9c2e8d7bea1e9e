import { systemClock } from "../clock.ts";
import type { Pod } from "../discovery/discovery.ts";
import { podsOf } from "../discovery/static.ts";
import type { DaemonOptions } from "../options.ts";
import { tokenizerPool } from "../tokenizer/settings.ts";
import type { Transport } from "../transport.ts";
import type { Check } from "./check.ts";
import { checkCluster } from "./cluster.ts";
import { checkRank, type Patience, type SeenBlocks } from "./engine.ts";
import { checkTokenizer } from "./tokenizer.ts";

/** What a diagnosis is made of. */
export interface DiagnosisParts {
  readonly options: DaemonOptions;
  readonly transport: Transport;
  readonly patience: Patience;
  /** Of a hundred pods that are alike, a few tell as much as all. */
  readonly maxPods: number;
}

/** Checks all that a daemon with these options needs, in the order in which it needs it. */
export async function* diagnose({ options, transport, patience, maxPods }: DiagnosisParts): AsyncGenerator<Check> {
  const pods: Pod[] = podsOf(options.endpoints);
  yield { check: "configuration", subject: "options", status: "ok", message: `${pods.length} endpoints are named` };
  if (options.kubernetes !== undefined) yield* checkCluster(options.kubernetes, patience.timeoutMs, pods);
  else yield { check: "cluster", subject: "kubernetes", status: "skipped", message: "not asked for (--kubernetes)" };
  if (pods.length === 0) {
    const message = "no engine to follow: name one with --endpoint, or find them with --kubernetes";
    yield { check: "pods", subject: "all", status: "fail", message };
  }
  const seen = new Map<string, SeenBlocks>();
  for (const pod of pods.slice(0, maxPods)) {
    const blocks = seen.get(pod.modelName) ?? { stored: null };
    seen.set(pod.modelName, blocks);
    for (const end of pod.ranks) yield* checkRank(pod, end, { transport, patience }, blocks);
  }
  if (pods.length > maxPods) {
    const message = `${pods.length - maxPods} more pods are not looked at: raise --max-pods`;
    yield { check: "pods", subject: "all", status: "skipped", message };
  }
  yield* checkTokenizers(options, pods, seen, patience);
}

async function* checkTokenizers(
  { tokenizer: settings }: DaemonOptions,
  pods: readonly Pod[],
  seen: ReadonlyMap<string, SeenBlocks>,
  { timeoutMs }: Patience,
): AsyncGenerator<Check> {
  if (settings === undefined) {
    const message = "not configured: queries name token ids";
    yield { check: "tokenizer", subject: "none", status: "skipped", message };
    return;
  }
  const directory = { pods: () => pods.map((pod) => ({ pod, streams: [] })) };
  const observer = { served() {}, failed() {}, lookedUp() {}, healthChecked() {} };
  await using tokenizer = tokenizerPool(settings, { directory, observer, clock: systemClock });
  for (const [model, { stored }] of seen) {
    yield await checkTokenizer(tokenizer, model, stored, AbortSignal.timeout(2 * timeoutMs));
  }
}
