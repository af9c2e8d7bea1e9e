import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigurationError } from "../../src/errors.ts";
import { endpointsOf, type PortScheme } from "../../src/simulator/ports.ts";

function ports(scheme: Partial<PortScheme>): readonly (readonly string[])[] {
  const complete = { engines: 1, ranks: 1, host: "h", port: 5557, replayPortOffset: scheme.ranks ?? 1, ...scheme };
  return endpointsOf(complete).map((ranks) =>
    ranks.flatMap(({ endpoint, replayEndpoint }) => [endpoint, replayEndpoint!].map((text) => text.slice(8))),
  );
}

test("with one rank an engine publishes on 5557 and replays on 5558, as vLLM, and the next follow", () => {
  assert.deepEqual(ports({ engines: 3 }), [
    ["5557", "5558"],
    ["5559", "5560"],
    ["5561", "5562"],
  ]);
});

test("rank r publishes on port + r and replays above all ranks", () => {
  assert.deepEqual(ports({ engines: 2, ranks: 2 }), [
    ["5557", "5559", "5558", "5560"],
    ["5561", "5563", "5562", "5564"],
  ]);
});

test("the replay ports can lie elsewhere", () => {
  assert.deepEqual(ports({ engines: 2, replayPortOffset: 100 }), [
    ["5557", "5657"],
    ["5559", "5659"],
  ]);
});

test("port 0 takes free ports", () => {
  assert.deepEqual(ports({ engines: 2, port: 0 }), [
    ["0", "0"],
    ["0", "0"],
  ]);
});

test("two sockets on one port are refused", () => {
  assert.throws(() => ports({ engines: 2, replayPortOffset: 2 }), {
    name: ConfigurationError.name,
    message: /port 5559 is used twice/,
  });
});

test("a port above 65535 is refused", () => {
  assert.throws(() => ports({ port: 65_535 }), { message: /port 65536 is above 65535/ });
});
