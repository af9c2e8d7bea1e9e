import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TransportError } from "../../../src/errors.ts";
import { formatEndpoint, parseEndpoint } from "../../../transports/websocket/endpoint.ts";
import { hasCode } from "../../conformance/bench.ts";

test("endpoints are a host, a port and a path", () => {
  assert.deepEqual(parseEndpoint("ws://10.0.0.1:5557", "connect"), { host: "10.0.0.1", port: 5557, path: "/" });
  assert.deepEqual(parseEndpoint("ws://engine-0.ns/a/b", "connect"), { host: "engine-0.ns", port: 80, path: "/a/b" });
  assert.deepEqual(parseEndpoint("ws://[::1]:5557/", "connect"), { host: "::1", port: 5557, path: "/" });
  assert.deepEqual(parseEndpoint("WS://[::1]", "connect"), { host: "::1", port: 80, path: "/" });
  assert.deepEqual(parseEndpoint("ws://*:*", "bind"), { host: null, port: 0, path: "/" });
  assert.deepEqual(parseEndpoint("ws://*:0/kv", "bind"), { host: null, port: 0, path: "/kv" });
});

test("what is no endpoint is refused, with the endpoint and the reason", () => {
  const reasons: Readonly<Record<string, RegExp>> = {
    "": /it has no scheme/,
    "127.0.0.1:5557": /it has no scheme/,
    "ws://": /"" is not a host name/,
    "ws://127.0.0.1:99999": /"99999" is not a port from 1 to 65535/,
    "ws://127.0.0.1:0": /"0" is not a port/,
    "ws://*:5557": /\* is every interface/,
    "ws://::1:5557": /write an IPv6 address in brackets/,
    "ws://[zz]:5557": /"zz" is not an IPv6 address/,
    "ws://300.0.0.1:5557": /"300\.0\.0\.1" is not an IPv4 address/,
    "ws://engine.0:1": /"engine\.0" is not a host name/,
    "ws://user:secret@host:1": /is not a host name|in brackets/,
    "ws://host:1/a?b": /"\/a\?b" is not a plain path/,
    "ws://host:1//a": /is not a plain path/,
    "ws://host:1/../a": /is not a plain path/,
    "tcp://127.0.0.1:99999": /is not a port/,
  };
  for (const [endpoint, reason] of Object.entries(reasons)) {
    assert.throws(
      () => parseEndpoint(endpoint, "connect"),
      (error: Error) => {
        assert.ok(hasCode("invalid-endpoint")(error));
        assert.match(error.message, reason);
        assert.ok(error.message.startsWith(`websocket ${endpoint}: `), error.message);
        return true;
      },
    );
  }
});

test("other schemes are refused, the encrypted one with what to do instead", () => {
  const thrown = (endpoint: string): string => {
    try {
      parseEndpoint(endpoint, "connect");
    } catch (error) {
      assert.ok(hasCode("unsupported")(error));
      return (error as Error).message;
    }
    return assert.fail("it was taken");
  };
  assert.match(
    thrown("wss://engine:443"),
    /^websocket wss:\/\/engine:443: scheme "wss" is not supported; use ws:\/\/, and/,
  );
  assert.match(thrown("tcp://engine:5557"), /scheme "tcp" is not supported; use ws:\/\/$/);
});

test("endpoints are written as they are read", () => {
  for (const endpoint of ["ws://10.0.0.1:5557", "ws://[::1]:80", "ws://engine:1/a/b"]) {
    const { host, port, path } = parseEndpoint(endpoint, "connect");
    assert.equal(formatEndpoint(host!, port, path), endpoint);
    assert.equal(new URL(endpoint).pathname, path);
  }
  assert.equal(formatEndpoint("::ffff:127.0.0.1", 1, "/"), "ws://127.0.0.1:1");
});

test("any text is an endpoint, or refused with a code", () => {
  const texts = fc.oneof(
    fc.string(),
    fc.string().map((rest) => `ws://${rest}`),
    fc.webUrl({ validSchemes: ["ws"] }),
  );
  fc.assert(
    fc.property(texts, fc.constantFrom("connect" as const, "bind" as const), (text, use) => {
      try {
        const { host, port, path } = parseEndpoint(text, use);
        if (host !== null && port > 0) assert.ok(URL.canParse(formatEndpoint(host, port, path)), text);
      } catch (error) {
        assert.ok(error instanceof TransportError, String(error));
      }
    }),
  );
});
