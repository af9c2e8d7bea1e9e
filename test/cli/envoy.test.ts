import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import * as loader from "@grpc/proto-loader";
import { parse } from "yaml";
import { descriptor } from "../../src/envoy/descriptor.ts";
import { run } from "./support.ts";

const limit = { timeout: 60_000 };

test("serve picks endpoints for Envoy where it is asked to, and tells its health", limit, async (context) => {
  const flags = ["--endpoint", "tcp://127.0.0.1:1", "--model", "m", "--port", "0", "--ext-proc-port", "0"];
  const daemon = run(context, ["serve", ...flags]);
  const { port } = JSON.parse(await daemon.errorLine(/picking endpoints for Envoy/));
  const services = grpc.loadPackageDefinition(
    loader.fromJSON(descriptor() as Parameters<typeof loader.fromJSON>[0], { keepCase: true }),
    // biome-ignore lint/suspicious/noExplicitAny: made of a descriptor at run time
  ) as any;
  const health = new services.grpc.health.v1.Health(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  context.after(() => health.close());
  const answer = await new Promise<{ readonly status: number }>((resolve, reject) => {
    health.Check({}, (error: Error | null, told: { readonly status: number }) =>
      error === null ? resolve(told) : reject(error),
    );
  });
  assert.ok(answer.status === 1 || answer.status === 2);
  daemon.child.kill("SIGTERM");
  assert.equal((await daemon.end()).code, 0);
});

test("the example for Envoy is YAML, and names the header and the port that are ours", async () => {
  const text = await readFile(new URL("../../deploy/envoy/envoy.yaml", import.meta.url), "utf8");
  const { static_resources: resources } = parse(text);
  const engines = resources.clusters.find(({ name }: { readonly name: string }) => name === "engines");
  assert.equal(engines.original_dst_lb_config.http_header_name, "x-gateway-destination-endpoint");
  assert.match(text, /--ext-proc-port 9002/);
});
