import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Pod } from "../../../src/discovery/discovery.ts";
import { isEligible, type KubernetesPod, podOf } from "../../../src/discovery/kubernetes/pod.ts";
import { kubernetesPod } from "./pods.ts";

const DEFAULTS = { port: 5557, replayPort: 5558, topic: "" };

function eligible(pod: KubernetesPod, defaults: Partial<typeof DEFAULTS> | { replayPort: null } = {}): Pod {
  const read = podOf(pod, { ...DEFAULTS, ...defaults });
  assert.ok(isEligible(read), "reason" in read ? read.reason : "");
  return read;
}

function reasonOf(pod: KubernetesPod): string {
  const read = podOf(pod, DEFAULTS);
  assert.ok(!isEligible(read), "it is eligible");
  return read.reason;
}

function annotated(annotations: Record<string, string>): KubernetesPod {
  return kubernetesPod("a", { annotations });
}

describe("eligibility", () => {
  it("takes a running pod with label, address and model", () => {
    assert.deepEqual(eligible(kubernetesPod("a")), {
      key: "default/a",
      modelName: "llama",
      loraId: -1,
      routingGroup: "default",
      topic: "",
      ranks: [{ rank: 0, endpoint: "tcp://10.0.0.1:5557", replayEndpoint: "tcp://10.0.0.1:5558" }],
      uid: "uid-of-a",
      isRoutable: true,
      restartCount: 0,
    });
  });

  it("says of every other pod what is missing, and what to do", () => {
    const label = "model.aibrix.ai/kv-events-enabled";
    const cases: [KubernetesPod, string][] = [
      [kubernetesPod("a", { labels: { [label]: "false" } }), `label ${label} is "false": set it to "true"`],
      [kubernetesPod("a", { labels: { [label]: "True" } }), `label ${label} is "True": set it to "true"`],
      [{ metadata: { name: "a" } }, `label ${label} is missing: set it to "true"`],
      [kubernetesPod("a", {}, { phase: "Pending" }), "phase is Pending: it is followed once it is Running"],
      [kubernetesPod("a", {}, { phase: "Succeeded" }), "phase is Succeeded: it is followed once it is Running"],
      [kubernetesPod("a", {}, { podIP: "" }), "it has no IP yet: it is followed once it has one"],
      [
        kubernetesPod("a", { labels: { "model.aibrix.ai/name": "" } }),
        'neither label nor annotation model.aibrix.ai/name names a model: set one of them (a name with a "/" only fits the annotation)',
      ],
      [{}, "it has no name"],
    ];
    for (const [pod, reason] of cases) assert.equal(reasonOf(pod), reason);
  });

  it("takes the model from the label, else from the annotation", () => {
    const annotations = { "model.aibrix.ai/name": "meta-llama/Llama-3" };
    assert.equal(eligible(kubernetesPod("a", { annotations })).modelName, "llama");
    const labels = { "model.aibrix.ai/name": "" };
    assert.equal(eligible(kubernetesPod("a", { labels, annotations })).modelName, "meta-llama/Llama-3");
  });
});

describe("LoRA extraction", () => {
  it("reads the label's integer, and takes anything else for none", () => {
    const loraOf = (id: string) => eligible(kubernetesPod("a", { labels: { "model.aibrix.ai/lora-id": id } })).loraId;
    assert.deepEqual(["7", "0", "-1", "", "x", "1.5", "-2"].map(loraOf), [7, 0, -1, -1, -1, -1, -1]);
  });
});

describe("routability", () => {
  it("is given to a pod that is ready, or of which nobody says", () => {
    const ready = (status: string) => kubernetesPod("a", {}, { conditions: [{ type: "Ready", status }] });
    assert.equal(eligible(ready("True")).isRoutable, true);
    assert.equal(eligible(ready("False")).isRoutable, false);
    assert.equal(eligible(ready("Unknown")).isRoutable, false);
  });

  it("is taken from a pod that terminates, whose blocks stay until it is gone", () => {
    assert.equal(eligible(kubernetesPod("a", { deletionTimestamp: "2026-01-01T00:00:00Z" })).isRoutable, false);
  });
});

describe("restarts", () => {
  const containerStatuses = [
    { name: "engine", restartCount: 2 },
    { name: "sidecar", restartCount: 5 },
  ];

  it("are those of all containers, since any may be the engine", () => {
    assert.equal(eligible(kubernetesPod("a", {}, { containerStatuses })).restartCount, 7);
  });

  it("are those of the container that an annotation names", () => {
    const annotations = { "kv-event-sync.io/container": "engine" };
    assert.equal(eligible(kubernetesPod("a", { annotations }, { containerStatuses })).restartCount, 2);
  });
});

describe("annotations", () => {
  it("override ports, ranks, block size, topic and group", () => {
    const pod = eligible(
      annotated({
        "kv-event-sync.io/port": "7000",
        "kv-event-sync.io/replay-port": "7100",
        "kv-event-sync.io/data-parallel-size": "2",
        "kv-event-sync.io/block-size": "64",
        "kv-event-sync.io/topic": "kv",
        "kv-event-sync.io/routing-group": "blue",
      }),
    );
    assert.deepEqual(pod.ranks, [
      { rank: 0, endpoint: "tcp://10.0.0.1:7000", replayEndpoint: "tcp://10.0.0.1:7100" },
      { rank: 1, endpoint: "tcp://10.0.0.1:7001", replayEndpoint: "tcp://10.0.0.1:7101" },
    ]);
    assert.deepEqual([pod.blockSize, pod.topic, pod.routingGroup], [64, "kv", "blue"]);
  });

  it("that name no replay port leave the default's place to the ranks", () => {
    const { ranks } = eligible(annotated({ "kv-event-sync.io/data-parallel-size": "3" }));
    assert.deepEqual(
      ranks.map(({ endpoint, replayEndpoint }) => `${endpoint.slice(-4)} ${replayEndpoint?.slice(-4)}`),
      ["5557 5560", "5558 5561", "5559 5562"],
    );
  });

  it("can say that there is no replay endpoint, or the defaults can", () => {
    for (const pod of [
      eligible(annotated({ "kv-event-sync.io/replay-port": "none" })),
      eligible(kubernetesPod("a"), { replayPort: null }),
    ]) {
      assert.deepEqual(pod.ranks, [{ rank: 0, endpoint: "tcp://10.0.0.1:5557" }]);
    }
  });

  it("that cannot be read leave the pod out, with the value and the remedy", () => {
    for (const [name, value, range] of [
      ["port", "0", "1 to 65535"],
      ["port", "65536", "1 to 65535"],
      ["port", "5557 ", "1 to 65535"],
      ["replay-port", "-1", "1 to 65535"],
      ["data-parallel-size", "1025", "1 to 1024"],
      ["block-size", "big", "1 to 1048576"],
    ] as const) {
      const reason = `annotation kv-event-sync.io/${name} is ${JSON.stringify(value)}: use a whole number from ${range}`;
      assert.equal(reasonOf(annotated({ [`kv-event-sync.io/${name}`]: value })), reason);
    }
  });

  it("say which engine it is: SGLang has something else where vLLM replays", () => {
    const sglang = eligible(annotated({ "kv-event-sync.io/engine": "sglang" }));
    assert.deepEqual([sglang.engine, sglang.ranks[0]?.replayEndpoint], ["sglang", undefined]);
    const told = eligible(annotated({ "kv-event-sync.io/engine": "sglang", "kv-event-sync.io/replay-port": "5560" }));
    assert.equal(told.ranks[0]?.replayEndpoint, "tcp://10.0.0.1:5560");
    const vllm = eligible(annotated({ "kv-event-sync.io/engine": "vllm" }));
    assert.deepEqual([vllm.engine, vllm.ranks[0]?.replayEndpoint], ["vllm", "tcp://10.0.0.1:5558"]);
    assert.equal(
      reasonOf(annotated({ "kv-event-sync.io/engine": "tgi" })),
      'annotation kv-event-sync.io/engine is "tgi": use vllm or sglang',
    );
  });

  it("that let replay fall among the ranks leave the pod out", () => {
    const annotations = { "kv-event-sync.io/data-parallel-size": "4", "kv-event-sync.io/replay-port": "5558" };
    assert.equal(
      reasonOf(annotated(annotations)),
      "annotation kv-event-sync.io/replay-port is 5558: with 4 ranks from port 5557 on, it is one of theirs; name another",
    );
  });

  it("leave no port beyond the last one", () => {
    const annotations = { "kv-event-sync.io/data-parallel-size": "2", "kv-event-sync.io/port": "65535" };
    assert.match(reasonOf(annotated(annotations)), /use a whole number from 1 to 65534/);
  });
});

it("an IPv6 address stands in brackets", () => {
  const { ranks } = eligible(kubernetesPod("a", {}, { podIP: "fd00::7" }));
  assert.equal(ranks[0]?.endpoint, "tcp://[fd00::7]:5557");
});
