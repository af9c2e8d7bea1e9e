import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as grpc from "@grpc/grpc-js";
import * as loader from "@grpc/proto-loader";
import { descriptor } from "../../src/envoy/descriptor.ts";
import { headersOf } from "../../src/envoy/exchange.ts";
import { loadGrpc } from "../../src/envoy/grpc.ts";
import type { ProcessingRequest, ProcessingResponse } from "../../src/envoy/messages.ts";
import { EndpointPicker, type PickerOptions } from "../../src/envoy/picker.ts";
import { EnvoyServer } from "../../src/envoy/server.ts";
import { characterTokenizer } from "../../src/tokenizer/character.ts";
import { until } from "../interop/support/until.ts";
import { type RouterBench, routerBench } from "../routing/support.ts";
import { podInfo, stored } from "../server/support.ts";

const from = (pod: string) => ({ model: "m", pod, rank: 0, loraId: -1 });
const HELLO = [...new TextEncoder().encode("hello!")];
const BODY = Buffer.from(JSON.stringify({ model: "m", prompt: "hello!" }));

const services = grpc.loadPackageDefinition(
  loader.fromJSON(descriptor() as Parameters<typeof loader.fromJSON>[0], { keepCase: true }),
  // biome-ignore lint/suspicious/noExplicitAny: made of a descriptor at run time
) as any;

interface EnvoyBench extends AsyncDisposable, RouterBench {
  /** Opens a stream, as Envoy does for each request. */
  open(): grpc.ClientDuplexStream<ProcessingRequest, ProcessingResponse>;
  health(): Promise<number>;
  isReady: boolean;
}

async function envoyBench(options: Partial<PickerOptions> = {}): Promise<EnvoyBench> {
  const bench = routerBench({}, { tokenizer: characterTokenizer() });
  const pods = ["a", "b", "c"].map((key, i) => podInfo(key, { httpUrl: `http://10.0.0.${i + 1}:8000`, blockSize: 2 }));
  bench.pods.splice(0, 3, ...pods);
  const state = { isReady: true };
  const server = await EnvoyServer.create({
    picker: new EndpointPicker(bench.router, { pods: () => bench.pods }, options),
    isReady: () => state.isReady,
  });
  const port = await server.listen({ host: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${port}`;
  const credentials = grpc.credentials.createInsecure();
  const processor = new services.envoy.service.ext_proc.v3.ExternalProcessor(address, credentials);
  const health = new services.grpc.health.v1.Health(address, credentials);
  return Object.assign(state, {
    ...bench,
    open: () => processor.Process(),
    health: () =>
      new Promise<number>((resolve, reject) => {
        health.Check({}, (error: Error | null, answer: { readonly status: number }) =>
          error === null ? resolve(answer.status) : reject(error),
        );
      }),
    [Symbol.asyncDispose]: async () => {
      processor.close();
      health.close();
      await server[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  });
}

const requestHeaders = (more: object = {}): ProcessingRequest => ({
  request_headers: {
    headers: {
      headers: [
        { key: ":path", raw_value: Buffer.from("/v1/completions") },
        { key: ":method", raw_value: Buffer.from("POST") },
      ],
    },
  },
  ...more,
});

/** The next answer on a stream. */
function next(stream: grpc.ClientDuplexStream<ProcessingRequest, ProcessingResponse>): Promise<ProcessingResponse> {
  return new Promise((resolve, reject) => {
    stream.once("data", resolve);
    stream.once("error", reject);
  });
}

function destinationOf({ request_headers: answer }: ProcessingResponse): string | undefined {
  const headers = answer?.response.header_mutation?.set_headers.map(({ header }) => header);
  return headersOf({ headers: headers ?? [] })["x-gateway-destination-endpoint"];
}

/** Sends a request as a streaming Envoy does; answers where it should go. */
async function pick(bench: EnvoyBench, more: object = {}): Promise<ProcessingResponse> {
  const stream = bench.open();
  stream.write(requestHeaders(more));
  stream.write({ request_body: { body: BODY.subarray(0, 7) } });
  stream.write({ request_body: { body: BODY.subarray(7), end_of_stream: true } });
  const answer = await next(stream);
  stream.end();
  stream.on("error", () => {});
  stream.resume();
  return answer;
}

describe("EnvoyServer", () => {
  it("picks the pod that holds the prompt, with others to fall back to", async () => {
    await using bench = await envoyBench();
    bench.indexer.processBlockStored(from("b"), stored([1n, 2n, 3n], HELLO));
    const destination = destinationOf(await pick(bench));
    assert.match(destination ?? "", /^10\.0\.0\.2:8000,10\.0\.0\.\d:8000,10\.0\.0\.\d:8000$/);
  });

  it("keeps to the subset of a request, and refuses where none of it can be had", async () => {
    await using bench = await envoyBench();
    bench.indexer.processBlockStored(from("b"), stored([1n, 2n, 3n], HELLO));
    const hint = (text: string) => {
      const fields = { "x-gateway-destination-endpoint-subset": { string_value: text } };
      return { metadata_context: { filter_metadata: { "envoy.lb.subset_hint": { fields } } } };
    };
    assert.equal(destinationOf(await pick(bench, hint("10.0.0.3:8000"))), "10.0.0.3:8000");
    const refused = await pick(bench, hint("10.9.9.9:1"));
    assert.equal(refused.immediate_response?.status.code, 503);
  });

  it("counts a request until its stream ends, and refuses with 429 where all pods are full", async () => {
    await using bench = await envoyBench({ maxInFlight: 1, fallbacks: 0 });
    const open = [];
    for (let i = 0; i < 3; i++) {
      const stream = bench.open();
      stream.on("error", () => {});
      stream.write(requestHeaders());
      stream.write({ request_body: { body: BODY, end_of_stream: true } });
      assert.ok(destinationOf(await next(stream)) !== undefined);
      open.push(stream);
    }
    const refused = await pick(bench);
    assert.equal(refused.immediate_response?.status.code, 429);
    open[0]!.cancel();
    open[1]!.end();
    const running = () => ["a", "b", "c"].reduce((sum, pod) => sum + bench.router.runningOn(pod), 0);
    await until("two have ended", running, (count) => count === 1);
    assert.ok(destinationOf(await pick(bench)) !== undefined);
    open[2]!.cancel();
  });

  it("tells an unknown model and a broken body as the gateway does", async () => {
    await using bench = await envoyBench();
    const stream = bench.open();
    stream.on("error", () => {});
    stream.write(requestHeaders());
    stream.write({ request_body: { body: Buffer.from('{"model":"x"}'), end_of_stream: true } });
    const { immediate_response: answer } = await next(stream);
    assert.equal(answer?.status.code, 404);
    assert.equal(JSON.parse(Buffer.from(answer!.body).toString()).error.type, "model_not_found");
    stream.end();
  });

  it("ends a stream whose messages make no sense, and goes on with the others", async () => {
    await using bench = await envoyBench();
    const stream = bench.open();
    stream.write({ response_headers: {} });
    await assert.rejects(next(stream), { code: grpc.status.INVALID_ARGUMENT });
    assert.ok(destinationOf(await pick(bench)) !== undefined);
  });

  it("tells its health", async () => {
    await using bench = await envoyBench();
    assert.equal(await bench.health(), 1);
    bench.isReady = false;
    assert.equal(await bench.health(), 2);
  });

  it("names the packages to install where they are missing", async () => {
    const missing = Object.assign(new Error("none"), { code: "ERR_MODULE_NOT_FOUND" });
    await assert.rejects(
      loadGrpc(() => Promise.reject(missing)),
      { code: "missing-package", message: /npm install @grpc\/grpc-js @grpc\/proto-loader/ },
    );
    await assert.rejects(
      loadGrpc(() => Promise.reject(new Error("broken"))),
      /broken/,
    );
  });
});
