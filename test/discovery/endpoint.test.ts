import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, checkEndpoint, withPortOffset } from "../../src/discovery/endpoint.ts";
import { KVEventSyncError } from "../../src/errors.ts";

function refusal(endpoint: string): string {
  try {
    checkEndpoint(endpoint);
  } catch (error) {
    assert.ok(error instanceof KVEventSyncError);
    assert.equal(error.code, "invalid-endpoint");
    return error.message;
  }
  throw new assert.AssertionError({ message: `${endpoint} was taken` });
}

test("what can be connected to is taken", () => {
  for (const endpoint of [
    "tcp://10.0.0.1:5557",
    "tcp://engine-0.engines.svc.cluster.local:65535",
    "tcp://[2001:db8::1]:5557",
    "tcp://[::ffff:10.0.0.1]:1",
    "ipc:///run/engine.sock",
    "inproc://engine",
    "ws://engine:8080/events",
  ]) {
    checkEndpoint(endpoint);
  }
});

test("what is no endpoint is refused, quoted, with what was expected", () => {
  for (const endpoint of ["", "tcp", "10.0.0.1:5557", "tcp://", "://a"]) {
    const message = refusal(endpoint);
    assert.ok(message.includes(JSON.stringify(endpoint)), message);
    assert.match(message, /expected scheme:\/\/address/);
  }
});

test("a TCP endpoint has a host that can be connected to, and a port", () => {
  for (const address of ["a", "a:", "a:port", ":5557", "::1:5557", "a:1/", "a b:1", "*:5557"]) {
    assert.match(refusal(`tcp://${address}`), /expected tcp:\/\/host:port/);
  }
});

test("a port is from 1 to 65535", () => {
  for (const port of [0, 65_536, 123_456]) assert.match(refusal(`tcp://a:${port}`), /from 1 to 65535/);
});

test("an endpoint without end is refused, and not repeated whole", () => {
  assert.ok(refusal(`ipc:///${"x".repeat(5_000)}`).length < 400);
});

test("rank r of an engine is r ports further on", () => {
  assert.equal(withPortOffset("tcp://10.0.0.1:5557", 0), "tcp://10.0.0.1:5557");
  assert.equal(withPortOffset("tcp://10.0.0.1:5557", 3), "tcp://10.0.0.1:5560");
  assert.equal(withPortOffset("tcp://[::1]:9999", 1), "tcp://[::1]:10000");
});

test("rank r of an engine in this process has _dp and r behind its name, but for rank 0", () => {
  assert.equal(withPortOffset("inproc://engine", 0), "inproc://engine");
  assert.equal(withPortOffset("inproc://engine", 2), "inproc://engine_dp2");
});

test("ranks above the last port, or of an endpoint that has none, are refused", () => {
  assert.throws(() => withPortOffset("tcp://a:65535", 1), /"tcp:\/\/a:65536": the port has to be from 1 to 65535/);
  assert.throws(() => withPortOffset("ipc:///run/engine.sock", 1), /data-parallel ranks need tcp/);
});

test("the address is what follows the scheme", () => {
  assert.equal(addressOf("tcp://10.0.0.1:5557"), "10.0.0.1:5557");
  assert.equal(addressOf("ipc:///run/engine.sock"), "/run/engine.sock");
});
