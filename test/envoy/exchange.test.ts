import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Effect, Exchange, ExchangeError, headersOf, type Picked } from "../../src/envoy/exchange.ts";
import { BodySendMode, type ProcessingRequest, type ProcessingResponse } from "../../src/envoy/messages.ts";

const BODY = Buffer.from(JSON.stringify({ model: "m", prompt: "hello" }));
const PICKED: Picked = { endpoints: ["10.0.0.1:8000", "10.0.0.2:8000"], pod: "a" };

const headers = (more: object = {}): ProcessingRequest => ({
  request_headers: { headers: { headers: [{ key: ":path", raw_value: Buffer.from("/v1/completions") }] } },
  ...more,
});
const body = (part: Buffer, end_of_stream = true): ProcessingRequest => ({
  request_body: { body: part, end_of_stream },
});
const mode = (request_body_mode: number, response_body_mode = 0) => ({
  protocol_config: { request_body_mode, response_body_mode },
});

function sent(effects: readonly Effect[]): ProcessingResponse[] {
  return effects.flatMap((effect) => (effect.type === "send" ? [effect.response] : []));
}

/** Names of what is answered, in order. */
function names(effects: readonly Effect[]): string[] {
  return effects.map((effect) => (effect.type === "send" ? Object.keys(effect.response)[0]! : effect.type));
}

/** The headers that an answer sets. */
function setHeaders({ request_headers, request_body, immediate_response }: ProcessingResponse): Record<string, string> {
  const mutation = (request_headers ?? request_body)?.response.header_mutation ?? immediate_response?.headers;
  return headersOf({ headers: mutation?.set_headers.map(({ header }) => header) ?? [] });
}

describe("Exchange", () => {
  it("answers a streamed request when its body is there, and gives the body back", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200_000 }),
        fc.array(fc.nat(), { maxLength: 6 }),
        fc.boolean(),
        (bytes, cuts, trailers) => {
          const exchange = new Exchange(1_000_000);
          assert.deepEqual(exchange.receive(headers(mode(BodySendMode.fullDuplexStreamed))), []);
          const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort(
            (left, right) => left - right,
          );
          let effects: readonly Effect[] = [];
          let start = 0;
          for (const [at, end] of ends.entries()) {
            assert.deepEqual(effects, []);
            effects = exchange.receive(body(Buffer.from(bytes.slice(start, end)), at === ends.length - 1 && !trailers));
            start = end;
          }
          if (trailers) effects = exchange.receive({ request_trailers: {} });
          assert.equal(effects[0]?.type, "pick");
          const request = effects[0]?.type === "pick" ? effects[0].request : undefined;
          assert.deepEqual(request?.body, Buffer.from(bytes));
          assert.equal(request?.headers[":path"], "/v1/completions");
          const [first, ...rest] = sent(exchange.picked(PICKED));
          assert.equal(setHeaders(first!)["x-gateway-destination-endpoint"], "10.0.0.1:8000,10.0.0.2:8000");
          assert.equal(
            first!.dynamic_metadata?.fields?.["envoy.lb"]?.struct_value?.fields?.["x-gateway-destination-endpoint"]
              ?.string_value,
            "10.0.0.1:8000,10.0.0.2:8000",
          );
          assert.equal(first!.request_headers?.response.clear_route_cache, true);
          const parts = rest.flatMap(
            (response) => response.request_body?.response.body_mutation?.streamed_response ?? [],
          );
          assert.deepEqual(Buffer.concat(parts.map((part) => part.body)), Buffer.from(bytes));
          assert.deepEqual(
            parts.map((part) => part.end_of_stream),
            parts.map((_, at) => at === parts.length - 1 && !trailers),
          );
          assert.ok(parts.every((part) => part.body.length <= 62_000));
          assert.equal(
            rest.some(({ request_trailers }) => request_trailers !== undefined),
            trailers,
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it("lets a buffering Envoy have its headers' answer first, and decides with the body's", () => {
    const exchange = new Exchange(1_000);
    assert.deepEqual(sent(exchange.receive(headers(mode(BodySendMode.buffered)))), [
      { request_headers: { response: {} } },
    ]);
    assert.deepEqual(names(exchange.receive(body(BODY))), ["pick"]);
    const [response] = sent(exchange.picked(PICKED));
    assert.equal(setHeaders(response!)["x-gateway-destination-endpoint"], "10.0.0.1:8000,10.0.0.2:8000");
    assert.ok(response!.request_body !== undefined);
  });

  it("decides by the headers where there is no body, or it is not shown", () => {
    const noBody = new Exchange(1_000);
    const alone = headers();
    assert.deepEqual(names(noBody.receive({ request_headers: { ...alone.request_headers!, end_of_stream: true } })), [
      "pick",
    ]);
    assert.deepEqual(names(noBody.picked(PICKED)), ["request_headers"]);
    const hidden = new Exchange(1_000);
    assert.deepEqual(names(hidden.receive(headers(mode(BodySendMode.none)))), ["pick"]);
  });

  it("refuses at once, in OpenAI's words, and takes nothing more", () => {
    const exchange = new Exchange(1_000);
    exchange.receive(headers());
    exchange.receive(body(BODY));
    const effects = exchange.picked({ status: 429, body: "{}", retryAfter: 1 });
    assert.deepEqual(names(effects), ["immediate_response", "end"]);
    const [response] = sent(effects);
    assert.equal(response!.immediate_response?.status.code, 429);
    assert.deepEqual(setHeaders(response!), { "content-type": "application/json", "retry-after": "1" });
    assert.deepEqual(exchange.receive(body(BODY)), []);
  });

  it("refuses a body that is too large, before it is there", () => {
    const exchange = new Exchange(10);
    exchange.receive(headers());
    const [response] = sent(exchange.receive(body(Buffer.alloc(11), false)));
    assert.equal(response?.immediate_response?.status.code, 413);
  });

  it("reads the subset that a request is limited to, as text or as a list", () => {
    const key = "x-gateway-destination-endpoint-subset";
    for (const value of [
      { string_value: "10.0.0.1:8000, 10.0.0.2:8000" },
      { list_value: { values: [{ string_value: "10.0.0.1:8000" }, { string_value: "10.0.0.2:8000" }] } },
    ]) {
      const exchange = new Exchange(1_000);
      const metadata_context = { filter_metadata: { "envoy.lb.subset_hint": { fields: { [key]: value } } } };
      exchange.receive(headers({ metadata_context }));
      const [effect] = exchange.receive(body(BODY));
      assert.deepEqual(effect?.type === "pick" && effect.request.subset, ["10.0.0.1:8000", "10.0.0.2:8000"]);
    }
  });

  it("follows an answer to its first token and its end, passing on what is shown of it", () => {
    const exchange = new Exchange(1_000);
    exchange.receive(headers(mode(BodySendMode.fullDuplexStreamed, BodySendMode.fullDuplexStreamed)));
    exchange.receive(body(BODY));
    exchange.picked(PICKED);
    assert.deepEqual(names(exchange.receive({ response_headers: {} })), ["response_headers"]);
    const effects = exchange.receive({ response_body: { body: BODY, end_of_stream: true } });
    assert.deepEqual(names(effects), ["firstToken", "response_body", "end"]);
    const [response] = sent(effects);
    assert.deepEqual(response?.response_body?.response.body_mutation?.streamed_response, {
      body: BODY,
      end_of_stream: true,
    });
  });

  it("says what is wrong with messages in an order that cannot be, whatever the order", () => {
    const message = fc.constantFrom<ProcessingRequest>(
      headers(),
      headers(mode(BodySendMode.buffered)),
      body(BODY, false),
      body(BODY),
      { request_trailers: {} },
      { response_headers: {} },
      { response_body: { body: BODY } },
      { response_trailers: {} },
      {},
    );
    fc.assert(
      fc.property(fc.array(message, { maxLength: 8 }), fc.boolean(), (messages, isRefused) => {
        const exchange = new Exchange(1_000);
        let picks = 0;
        try {
          for (const each of messages) {
            for (const effect of exchange.receive(each)) {
              if (effect.type !== "pick") continue;
              picks++;
              exchange.picked(isRefused ? { status: 503, body: "" } : PICKED);
            }
          }
        } catch (error) {
          assert.ok(error instanceof ExchangeError, String(error));
        }
        assert.ok(picks <= 1);
      }),
    );
    assert.throws(() => new Exchange(1).receive(body(BODY)), /a request body came where none could be/);
  });
});
