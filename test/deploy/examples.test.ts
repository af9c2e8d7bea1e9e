import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isEligible, podOf } from "../../src/discovery/kubernetes/pod.ts";
import { HELM, root, toolTest } from "../support/tools.ts";
import { type Manifest, only, parseManifests, render } from "./support/chart.ts";

const FOLDER = join(root, "deploy/examples");

/** An engine of an example, by what its manifest says. */
interface Example {
  readonly file: string;
  readonly template: Manifest;
  readonly args: readonly string[];
  readonly ports: readonly number[];
  /** What follows --kv-events-config. */
  readonly events: Readonly<Record<string, unknown>>;
}

function exampleOf(file: string): Example {
  const manifests = parseManifests(readFileSync(join(FOLDER, file), "utf8"));
  const { template } = only(manifests, "Deployment")["spec"];
  const [container] = template.spec.containers;
  const args = container.args as readonly string[];
  return {
    file,
    template,
    args,
    ports: container.ports.map(({ containerPort }: { containerPort: number }) => containerPort),
    events: JSON.parse(args[args.indexOf("--kv-events-config") + 1]!),
  };
}

const EXAMPLES = readdirSync(FOLDER).map(exampleOf);

function flagOf(args: readonly string[], flag: string): string | undefined {
  return args.find((arg) => arg.startsWith(`${flag}=`))?.slice(flag.length + 1);
}

/** Ports of all ranks from the one in that endpoint on. */
function rankPorts({ args }: Example, endpoint: unknown): readonly number[] {
  const [, port] = /^tcp:\/\/\*:(\d+)$/.exec(endpoint as string) ?? assert.fail(`${endpoint}`);
  const ranks = Number(flagOf(args, "--data-parallel-size") ?? 1);
  return Array.from({ length: ranks }, (_, rank) => Number(port) + rank);
}

const socketsOf = (example: Example): readonly number[] => [
  ...rankPorts(example, example.events["endpoint"]),
  ...rankPorts(example, example.events["replay_endpoint"]),
];

test("examples: there is vLLM, with data-parallel ranks too, and SGLang", () => {
  assert.deepEqual(
    EXAMPLES.map(({ file }) => file),
    ["sglang.yaml", "vllm-data-parallel.yaml", "vllm.yaml"],
  );
});

test("examples: each publishes to ZeroMQ and can be asked to replay, every rank on ports of its own", () => {
  for (const example of EXAMPLES) {
    const { events, file, ports } = example;
    assert.equal(events["publisher"], "zmq", file);
    // SGLang has no such option: it publishes when a publisher is named.
    assert.equal(events["enable_kv_cache_events"], file === "sglang.yaml" ? undefined : true, file);
    const sockets = socketsOf(example);
    assert.deepEqual([...new Set(sockets)], sockets, file);
    for (const port of sockets) assert.ok(ports.includes(port), `${file}: ${port} is not among its container ports`);
  }
});

test("examples: discovery finds the sockets that each of them opens", () => {
  for (const example of EXAMPLES) {
    const { events, template, args, file } = example;
    const metadata = { ...template.metadata, name: "engine", namespace: "inference" };
    const defaults = { port: 5557, replayPort: 5558, topic: "" };
    const pod = podOf({ metadata, status: { phase: "Running", podIP: "10.0.0.1" } }, defaults);
    assert.ok(isEligible(pod), file);
    assert.equal(pod.modelName, flagOf(args, "--served-model-name"));
    const portOf = (endpoint: string | undefined): number => Number(endpoint?.split(":").at(-1));
    assert.deepEqual(
      pod.ranks.map(({ endpoint }) => portOf(endpoint)),
      rankPorts(example, events["endpoint"]),
      file,
    );
    assert.deepEqual(
      pod.ranks.map(({ replayEndpoint }) => portOf(replayEndpoint)),
      rankPorts(example, events["replay_endpoint"]),
      file,
    );
  }
});

toolTest([HELM], "examples: the chart's network policy lets through to each of their sockets", ([helm]) => {
  const [engines] = only(render(helm!), "NetworkPolicy")["spec"].egress;
  const open = engines.ports as readonly { readonly port: number; readonly endPort?: number }[];
  const isOpen = (wanted: number): boolean =>
    open.some(({ port, endPort = port }) => port <= wanted && wanted <= endPort);
  for (const example of EXAMPLES) {
    const sockets = [...socketsOf(example), Number(flagOf(example.args, "--port"))];
    for (const port of sockets) assert.ok(isOpen(port), `${example.file}: ${port}`);
  }
});
