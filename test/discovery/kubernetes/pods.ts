import type { DeletedFinalStateUnknown, Pod, PodListener } from "../../../src/discovery/discovery.ts";
import type { KubernetesPod } from "../../../src/discovery/kubernetes/pod.ts";

/** A pod that is eligible, but for what is said otherwise. */
export function kubernetesPod(
  name: string,
  metadata: KubernetesPod["metadata"] = {},
  status: KubernetesPod["status"] = {},
): KubernetesPod {
  return {
    metadata: {
      namespace: "default",
      uid: `uid-of-${name}`,
      ...metadata,
      name,
      labels: { ...ELIGIBLE, ...metadata.labels },
    },
    status: { phase: "Running", podIP: "10.0.0.1", ...status },
  };
}

export const ELIGIBLE: Readonly<Record<string, string>> = {
  "model.aibrix.ai/kv-events-enabled": "true",
  "model.aibrix.ai/name": "llama",
};

/** What a listener knows, and what it heard: `+key`, `~key`, `-key`, `†key` for a tombstone. */
export class PodLog implements PodListener {
  readonly pods: Map<string, Pod> = new Map();
  readonly lines: string[] = [];

  onPodAdd(pod: Pod): void {
    if (this.pods.has(pod.key)) throw new Error(`${pod.key} is added twice`);
    this.pods.set(pod.key, pod);
    this.lines.push(`+${pod.key}`);
  }

  onPodUpdate(oldPod: Pod, newPod: Pod): void {
    if (this.pods.get(oldPod.key) !== oldPod) throw new Error(`${oldPod.key} is updated from what was not told`);
    this.pods.set(newPod.key, newPod);
    this.lines.push(`~${newPod.key}`);
  }

  onPodDelete(deleted: Pod | DeletedFinalStateUnknown): void {
    if (!this.pods.delete(deleted.key)) throw new Error(`${deleted.key} is deleted, and was not there`);
    this.lines.push(`${"pod" in deleted ? "†" : "-"}${deleted.key}`);
  }
}
