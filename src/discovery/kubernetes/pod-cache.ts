import { isDeepStrictEqual } from "node:util";
import type { Pod, PodListener } from "../discovery.ts";
import { type IneligiblePod, isEligible, type KubernetesPod, keyOf, type PodDefaults, podOf } from "./pod.ts";

/**
 * The eligible pods, and what a listener has to hear when the API server tells of them. A pod that stops to be eligible
 * is deleted; one that is there again under its name with another uid is deleted and added.
 */
export class PodCache {
  readonly #defaults: PodDefaults;
  readonly #listener: PodListener;
  readonly #pods = new Map<string, Pod>();
  readonly #ineligible = new Map<string, IneligiblePod>();

  constructor(listener: PodListener, defaults: PodDefaults) {
    this.#listener = listener;
    this.#defaults = defaults;
  }

  /** Those that were seen and are not followed, and why. */
  get ineligible(): readonly IneligiblePod[] {
    return [...this.#ineligible.values()];
  }

  /** These are all pods: who is missing was deleted unseen, and leaves a tombstone. */
  replace(pods: readonly KubernetesPod[]): void {
    const present = new Set(pods.map(keyOf));
    for (const [key, pod] of [...this.#pods]) {
      if (present.has(key)) continue;
      this.#pods.delete(key);
      this.#listener.onPodDelete({ key, pod });
    }
    for (const key of [...this.#ineligible.keys()]) if (!present.has(key)) this.#ineligible.delete(key);
    for (const pod of pods) this.set(pod);
  }

  /** It was added, or something of it changed. */
  set(raw: KubernetesPod): void {
    const key = keyOf(raw);
    const known = this.#pods.get(key);
    const pod = podOf(raw, this.#defaults);
    if (!isEligible(pod)) {
      this.#ineligible.set(key, pod);
      this.#drop(known);
      return;
    }
    this.#ineligible.delete(key);
    // Most changes of a pod are none that matters here.
    if (isDeepStrictEqual(known, pod)) return;
    const isOther = known !== undefined && (known.uid !== pod.uid || known.modelName !== pod.modelName);
    if (isOther) this.#drop(known);
    this.#pods.set(key, pod);
    if (known === undefined || isOther) this.#listener.onPodAdd(pod);
    else this.#listener.onPodUpdate(known, pod);
  }

  /** It is gone. What comes late of an earlier pod of that name is ignored. */
  delete(raw: KubernetesPod): void {
    const key = keyOf(raw);
    this.#ineligible.delete(key);
    const known = this.#pods.get(key);
    if (known?.uid !== undefined && raw.metadata?.uid !== undefined && known.uid !== raw.metadata.uid) return;
    this.#drop(known);
  }

  #drop(pod: Pod | undefined): void {
    if (pod === undefined) return;
    this.#pods.delete(pod.key);
    this.#listener.onPodDelete(pod);
  }
}
