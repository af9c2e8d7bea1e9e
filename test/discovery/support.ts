import type { DeletedFinalStateUnknown, Pod, PodListener } from "../../src/discovery/discovery.ts";

/** Writes down what it hears: `+key`, `~key`, `-key`, with the ranks. */
export class ListenerLog implements PodListener {
  readonly lines: string[] = [];
  last: Pod | undefined;

  onPodAdd(pod: Pod): void {
    this.#write("+", pod);
  }

  onPodUpdate(_oldPod: Pod, newPod: Pod): void {
    this.#write("~", newPod);
  }

  onPodDelete(deleted: Pod | DeletedFinalStateUnknown): void {
    this.#write("-", "pod" in deleted ? deleted.pod : deleted);
  }

  #write(sign: string, pod: Pod): void {
    this.last = pod;
    this.lines.push(`${sign}${pod.key} ${pod.ranks.map(({ rank }) => rank).join(",")}`);
  }
}
