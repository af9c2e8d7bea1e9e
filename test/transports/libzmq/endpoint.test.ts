import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TransportError } from "../../../src/errors.ts";
import { connectableEndpoint, nativeEndpoint } from "../../../transports/libzmq/endpoint.ts";
import { hasCode } from "../../conformance/bench.ts";

test("endpoints pass to libzmq as they are, but for a free port", () => {
  for (const endpoint of ["tcp://10.0.0.1:5557", "tcp://[::1]:5557", "tcp://engine-0.ns:1", "ipc:///run/a b.sock"]) {
    assert.equal(nativeEndpoint(endpoint, "connect"), endpoint);
    assert.equal(nativeEndpoint(endpoint, "bind"), endpoint);
  }
  assert.equal(nativeEndpoint("tcp://*:0", "bind"), "tcp://*:*");
  assert.equal(nativeEndpoint("tcp://127.0.0.1:*", "bind"), "tcp://127.0.0.1:*");
  assert.equal(nativeEndpoint("ipc://*", "bind"), "ipc://*");
});

test("what libzmq would misread is refused, with the endpoint and the reason", () => {
  const reasons: Readonly<Record<string, RegExp>> = {
    "": /it has no scheme/,
    "127.0.0.1:5557": /it has no scheme/,
    "tcp://127.0.0.1": /it has no port/,
    "tcp://127.0.0.1:99999": /"99999" is not a port from 1 to 65535/,
    "tcp://127.0.0.1:0": /"0" is not a port/,
    "tcp://*:5557": /\* is every interface/,
    "tcp://::1:5557": /write an IPv6 address in brackets/,
    "tcp://[zz]:5557": /"zz" is not an IPv6 address/,
    "tcp://300.0.0.1:5557": /"300\.0\.0\.1" is not an IPv4 address/,
    "tcp://a/b:5557": /"a\/b" is not a host name/,
    "ipc://": /it names no path/,
    [`ipc:///${"x".repeat(200)}`]: /its path has 201 bytes/,
  };
  for (const [endpoint, reason] of Object.entries(reasons)) {
    assert.throws(
      () => nativeEndpoint(endpoint, "connect"),
      (error: Error) => {
        assert.ok(hasCode("invalid-endpoint")(error));
        assert.match(error.message, reason);
        assert.ok(error.message.startsWith(`libzmq ${endpoint}: `), error.message);
        return true;
      },
    );
  }
  assert.throws(() => nativeEndpoint("inproc://engine", "connect"), hasCode("unsupported"));
});

test("what libzmq is bound to is written as others connect to it", () => {
  assert.equal(connectableEndpoint("tcp://[::ffff:127.0.0.1]:5557"), "tcp://127.0.0.1:5557");
  assert.equal(connectableEndpoint("tcp://[::]:5557"), "tcp://127.0.0.1:5557");
  assert.equal(connectableEndpoint("tcp://0.0.0.0:5557"), "tcp://127.0.0.1:5557");
  assert.equal(connectableEndpoint("tcp://[::1]:5557"), "tcp://[::1]:5557");
  assert.equal(connectableEndpoint("ipc:///tmp/x"), "ipc:///tmp/x");
});

test("any text is an endpoint, or refused with a code", () => {
  const texts = fc.oneof(
    fc.string(),
    fc.tuple(fc.constantFrom("tcp://", "ipc://"), fc.string()).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(texts, fc.constantFrom("connect" as const, "bind" as const), (text, use) => {
      try {
        assert.match(nativeEndpoint(text, use), /^(tcp|ipc):\/\/./);
      } catch (error) {
        assert.ok(error instanceof TransportError, String(error));
      }
    }),
  );
});
