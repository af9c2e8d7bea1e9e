import assert from "node:assert/strict";
import { test } from "node:test";
import { TransportError } from "../../../src/errors.ts";
import { formatTcpEndpoint, parseEndpoint } from "../../../transports/zmtp/endpoint.ts";

const isInvalid = (error: unknown): boolean => error instanceof TransportError && error.code === "invalid-endpoint";

test("zmtp 48: addresses, host names and IPv6 literals are read", () => {
  for (const [text, host, port] of [
    ["tcp://10.0.0.1:5557", "10.0.0.1", 5557],
    ["tcp://vllm-0.engines.default.svc.cluster.local:65535", "vllm-0.engines.default.svc.cluster.local", 65_535],
    ["tcp://engine_7:1", "engine_7", 1],
    ["tcp://host.:80", "host.", 80],
    ["tcp://[::1]:5557", "::1", 5557],
    ["tcp://[fe80::1%eth0]:5557", "fe80::1%eth0", 5557],
  ] as const) {
    assert.deepEqual(parseEndpoint(text, "connect"), { scheme: "tcp", host, port });
    assert.deepEqual(parseEndpoint(text, "bind"), { scheme: "tcp", host, port });
  }
});

test("zmtp 48: every interface and a free port can be bound, and only that", () => {
  for (const text of ["tcp://*:5557", "tcp://127.0.0.1:0", "tcp://*:*"]) {
    assert.doesNotThrow(() => parseEndpoint(text, "bind"));
    assert.throws(() => parseEndpoint(text, "connect"), isInvalid);
  }
  assert.deepEqual(parseEndpoint("tcp://*:*", "bind"), { scheme: "tcp", host: null, port: 0 });
});

test("zmtp 48: bad ports, hosts and forms are refused, with the endpoint and a remedy", () => {
  for (const [text, words] of [
    ["tcp://host:65536", /"65536" is not a port from 1 to 65535/],
    ["tcp://host:-1", /"-1" is not a port/],
    ["tcp://host:5557/", /"5557\/" is not a port/],
    ["tcp://host:0x15", /is not a port/],
    ["tcp://host:", /"" is not a port/],
    ["tcp://host: 80", /is not a port/],
    ["tcp://host", /it has no port/],
    ["tcp://:5557", /"" is not a host name/],
    ["tcp://a b:5557", /"a b" is not a host name/],
    ["tcp://eth0;10.0.0.1:5557", /is not a host name/],
    ["tcp://-host:5557", /is not a host name/],
    ["tcp://300.0.0.1:5557", /"300\.0\.0\.1" is not an IPv4 address/],
    ["tcp://10.0.1:5557", /is not an IPv4 address/],
    ["tcp://[10.0.0.1]:5557", /"10\.0\.0\.1" is not an IPv6 address/],
    ["tcp://::1:5557", /write an IPv6 address in brackets/],
    ["ipc://", /it names no path/],
    [`ipc://${"x".repeat(108)}`, /its path has 108 bytes/],
    ["10.0.0.1:5557", /it has no scheme; write tcp/],
    ["", /it has no scheme/],
  ] as const) {
    assert.throws(
      () => parseEndpoint(text, "connect"),
      (error) => isInvalid(error) && words.test((error as Error).message) && (error as Error).message.includes(text),
      text,
    );
  }
});

test("zmtp 48: another scheme is unsupported, and named", () => {
  assert.throws(
    () => parseEndpoint("inproc://a", "connect"),
    (error) => error instanceof TransportError && error.code === "unsupported" && /"inproc"/.test(error.message),
  );
});

test("zmtp 47: ipc paths are kept, and @ is the abstract namespace", () => {
  assert.deepEqual(parseEndpoint("ipc:///run/a.sock", "connect"), { scheme: "ipc", path: "/run/a.sock" });
  assert.deepEqual(parseEndpoint("ipc://@engine", "connect"), { scheme: "ipc", path: "\0engine" });
  assert.deepEqual(parseEndpoint("ipc://*", "bind"), { scheme: "ipc", path: null });
});

test("an endpoint is written with brackets round IPv6, and a mapped IPv4 address plainly", () => {
  assert.equal(formatTcpEndpoint("10.0.0.1", 1), "tcp://10.0.0.1:1");
  assert.equal(formatTcpEndpoint("fe80::1", 1), "tcp://[fe80::1]:1");
  assert.equal(formatTcpEndpoint("::ffff:10.0.0.1", 1), "tcp://10.0.0.1:1");
});
