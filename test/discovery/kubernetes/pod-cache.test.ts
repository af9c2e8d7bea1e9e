import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import fc from "fast-check";
import { isEligible, type KubernetesPod, keyOf, podOf } from "../../../src/discovery/kubernetes/pod.ts";
import { PodCache } from "../../../src/discovery/kubernetes/pod-cache.ts";
import { kubernetesPod, PodLog } from "./pods.ts";

const DEFAULTS = { port: 5557, replayPort: 5558, topic: "" };

describe("PodCache", () => {
  let log: PodLog;
  let cache: PodCache;
  beforeEach(() => {
    log = new PodLog();
    cache = new PodCache(log, DEFAULTS);
  });

  it("tells of changes that matter, and of no others", () => {
    cache.set(kubernetesPod("a"));
    cache.set(kubernetesPod("a", { annotations: { note: "of no matter" } }));
    cache.set(kubernetesPod("a", {}, { podIP: "10.0.0.2" }));
    assert.deepEqual(log.lines, ["+default/a", "~default/a"]);
    assert.equal(log.pods.get("default/a")?.ranks[0]?.endpoint, "tcp://10.0.0.2:5557");
  });

  it("deletes a pod that stops to be eligible, and adds it when it is again", () => {
    cache.set(kubernetesPod("a"));
    cache.set(kubernetesPod("a", {}, { phase: "Failed" }));
    assert.deepEqual(cache.ineligible, [
      { key: "default/a", reason: "phase is Failed: it is followed once it is Running" },
    ]);
    cache.set(kubernetesPod("a"));
    assert.deepEqual(log.lines, ["+default/a", "-default/a", "+default/a"]);
    assert.deepEqual(cache.ineligible, []);
  });

  it("leaves a tombstone of a pod that a new list no longer has", () => {
    cache.replace([kubernetesPod("a"), kubernetesPod("b")]);
    cache.replace([kubernetesPod("b")]);
    assert.deepEqual(log.lines, ["+default/a", "+default/b", "†default/a"]);
  });

  it("takes a pod of the same name with another uid for another one", () => {
    cache.set(kubernetesPod("a", { uid: "first" }));
    cache.set(kubernetesPod("a", { uid: "second" }));
    assert.deepEqual(log.lines, ["+default/a", "-default/a", "+default/a"]);
  });

  it("ignores the late deletion of an earlier pod of that name", () => {
    cache.set(kubernetesPod("a", { uid: "second" }));
    cache.delete(kubernetesPod("a", { uid: "first" }));
    assert.deepEqual([...log.pods.keys()], ["default/a"]);
  });

  it("knows after anything what a fresh look at the cluster knows", () => {
    const pod = fc
      .record({
        name: fc.constantFrom("a", "b", "c"),
        uid: fc.constantFrom("1", "2"),
        phase: fc.constantFrom("Running", "Running", "Pending"),
        ip: fc.constantFrom("10.0.0.1", "10.0.0.2", ""),
        model: fc.constantFrom("llama", "llama", "qwen"),
      })
      .map(({ name, uid, phase, ip, model }) =>
        kubernetesPod(name, { uid, labels: { "model.aibrix.ai/name": model } }, { phase, podIP: ip }),
      );
    const step = fc.oneof(
      { weight: 5, arbitrary: pod.map((pod) => ({ type: "set" as const, pod })) },
      { weight: 2, arbitrary: pod.map((pod) => ({ type: "delete" as const, pod })) },
      {
        weight: 1,
        arbitrary: fc.uniqueArray(pod, { selector: keyOf }).map((pods) => ({ type: "list" as const, pods })),
      },
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const log = new PodLog();
        const cache = new PodCache(log, DEFAULTS);
        let truth = new Map<string, KubernetesPod>();
        for (const step of steps) {
          if (step.type === "list") {
            truth = new Map(step.pods.map((pod) => [keyOf(pod), pod]));
            cache.replace(step.pods);
          } else if (step.type === "set") {
            truth.set(keyOf(step.pod), step.pod);
            cache.set(step.pod);
          } else {
            const key = keyOf(step.pod);
            const there = truth.get(key);
            if (there?.metadata?.uid === step.pod.metadata?.uid) truth.delete(key);
            // The server tells of the deletion of what is there, or late of an earlier pod.
            if (there !== undefined) cache.delete(step.pod);
          }
          const wanted = [...truth.values()].map((pod) => podOf(pod, DEFAULTS)).filter(isEligible);
          const byKey = (left: { key: string }, right: { key: string }) => (left.key < right.key ? -1 : 1);
          assert.deepEqual([...log.pods.values()].sort(byKey), wanted.sort(byKey));
        }
      }),
    );
  });
});
