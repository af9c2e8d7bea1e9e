import {
  BodySendMode,
  type HeaderMap,
  OVERWRITE_IF_EXISTS_OR_ADD,
  type ProcessingRequest,
  type ProcessingResponse,
  type Struct,
  type Value,
} from "./messages.ts";

/** Where the picked endpoints stand: header, and key in the dynamic metadata (Gateway API Inference Extension, proposal 004). */
export const DESTINATION = "x-gateway-destination-endpoint";
const METADATA_NAMESPACE = "envoy.lb";
const SUBSET_NAMESPACE = "envoy.lb.subset_hint";
const SUBSET_KEY = "x-gateway-destination-endpoint-subset";

/** A body response must fit into what Envoy takes at once. */
const CHUNK_BYTES = 62_000;

/** The request for which an endpoint is wanted. */
export interface PickRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** `ip:port` of those that may be picked; `null`: all. */
  readonly subset: readonly string[] | null;
}

/** The endpoints to try, the best first, or why there is none. */
export type Picked =
  | { readonly endpoints: readonly string[]; readonly pod: string }
  | { readonly status: number; readonly body: string; readonly retryAfter?: number };

/** What follows from a message. */
export type Effect =
  | { readonly type: "send"; readonly response: ProcessingResponse }
  /** The next message waits until `picked` was called. */
  | { readonly type: "pick"; readonly request: PickRequest }
  | { readonly type: "firstToken" }
  | { readonly type: "end" };

/** Envoy said something that cannot be said then. */
export class ExchangeError extends Error {
  override readonly name = "ExchangeError";
}

/**
 * One HTTP request that Envoy has us look at: a state machine without sockets. A request's headers are answered when its
 * body is there, since the body decides; only where Envoy buffers, it wants the headers' answer before it sends the body,
 * and takes the decision with the body's.
 */
export class Exchange {
  readonly #maxBodyBytes: number;
  #requestMode: number = BodySendMode.fullDuplexStreamed;
  #responseMode: number = BodySendMode.fullDuplexStreamed;
  #state: "start" | "body" | "picking" | "picked" | "over" = "start";
  #headers: Readonly<Record<string, string>> = {};
  #subset: readonly string[] | null = null;
  #body: Uint8Array[] = [];
  #bodyBytes = 0;
  #hasBody = false;
  #hasTrailers = false;
  #pod = "";

  constructor(maxBodyBytes: number) {
    this.#maxBodyBytes = maxBodyBytes;
  }

  /** Throws ExchangeError. */
  receive(message: ProcessingRequest): readonly Effect[] {
    if (this.#state === "over") return [];
    if (this.#state === "picking") throw new ExchangeError("a message came before the endpoint was picked");
    if (message.protocol_config !== undefined && message.protocol_config !== null) {
      const { request_body_mode: request = 0, response_body_mode: response = 0 } = message.protocol_config;
      this.#requestMode = request;
      this.#responseMode = response;
    }
    if (message.request_headers) return this.#requestHeaders(message);
    if (message.request_body) return this.#requestBody(message.request_body);
    if (message.request_trailers) return this.#requestTrailers();
    if (message.response_headers) return this.#responseHeaders(message.response_headers);
    if (message.response_body) return this.#responseBody(message.response_body);
    if (message.response_trailers) {
      this.#assert("picked", "response trailers");
      return [{ type: "send", response: { response_trailers: {} } }, { type: "end" }];
    }
    throw new ExchangeError("a message says nothing that is known here");
  }

  /** Ends the waiting after the effect `pick`. */
  picked(result: Picked): readonly Effect[] {
    if (this.#state !== "picking") throw new ExchangeError("nothing was to be picked");
    if ("status" in result) {
      this.#state = "over";
      return [{ type: "send", response: refusal(result) }, { type: "end" }];
    }
    this.#state = "picked";
    this.#pod = result.pod;
    const response = {
      header_mutation: headerMutation([[DESTINATION, result.endpoints.join(",")]]),
      clear_route_cache: true,
    };
    const dynamic_metadata = metadata(result.endpoints.join(","));
    if (this.#isBuffered && this.#hasBody) {
      return [{ type: "send", response: { request_body: { response }, dynamic_metadata } }];
    }
    const effects: Effect[] = [{ type: "send", response: { request_headers: { response }, dynamic_metadata } }];
    if (this.#hasBody) effects.push(...this.#bodyBack());
    if (this.#hasTrailers) effects.push({ type: "send", response: { request_trailers: {} } });
    return effects;
  }

  get #isBuffered(): boolean {
    return this.#requestMode === BodySendMode.buffered || this.#requestMode === BodySendMode.bufferedPartial;
  }

  #requestHeaders({ request_headers: message, metadata_context: context }: ProcessingRequest): readonly Effect[] {
    this.#assert("start", "request headers");
    this.#headers = headersOf(message?.headers);
    this.#subset = subsetOf(context?.filter_metadata?.[SUBSET_NAMESPACE]);
    const isDecidedByBody = this.#isBuffered || this.#requestMode === BodySendMode.fullDuplexStreamed;
    if (message?.end_of_stream === true || !isDecidedByBody) return this.#pick();
    this.#state = "body";
    return this.#isBuffered ? [{ type: "send", response: { request_headers: { response: {} } } }] : [];
  }

  #requestBody({
    body = new Uint8Array(),
    end_of_stream: isLast = false,
  }: NonNullable<ProcessingRequest["request_body"]>): readonly Effect[] {
    // A body that decides nothing passes as it comes.
    if (this.#state === "picked") return [{ type: "send", response: { request_body: { response: {} } } }];
    this.#assert("body", "a request body");
    this.#hasBody = true;
    this.#bodyBytes += body.length;
    if (this.#bodyBytes > this.#maxBodyBytes) {
      this.#state = "over";
      const problem = { status: 413, body: `body exceeds ${this.#maxBodyBytes} bytes; send a shorter prompt` };
      return [{ type: "send", response: refusal(problem) }, { type: "end" }];
    }
    this.#body.push(body);
    return isLast || this.#isBuffered ? this.#pick() : [];
  }

  #requestTrailers(): readonly Effect[] {
    if (this.#state === "picked") return [{ type: "send", response: { request_trailers: {} } }];
    this.#assert("body", "request trailers");
    this.#hasTrailers = true;
    return this.#pick();
  }

  #responseHeaders({
    end_of_stream: isLast = false,
  }: NonNullable<ProcessingRequest["response_headers"]>): readonly Effect[] {
    this.#assert("picked", "response headers");
    const response = { header_mutation: headerMutation([["target-pod", this.#pod]]) };
    const send: Effect = { type: "send", response: { response_headers: { response } } };
    if (isLast) return [send, { type: "end" }];
    // A body that is not shown here has its first token about now.
    return this.#responseMode === BodySendMode.none ? [send, { type: "firstToken" }] : [send];
  }

  #responseBody({
    body = new Uint8Array(),
    end_of_stream: isLast = false,
  }: NonNullable<ProcessingRequest["response_body"]>): readonly Effect[] {
    this.#assert("picked", "a response body");
    const streamed_response = { body, end_of_stream: isLast };
    const isStreamed = this.#responseMode === BodySendMode.fullDuplexStreamed;
    const response = isStreamed ? { body_mutation: { streamed_response } } : {};
    const send: Effect = { type: "send", response: { response_body: { response } } };
    return [{ type: "firstToken" }, send, ...(isLast ? [{ type: "end" as const }] : [])];
  }

  #pick(): readonly Effect[] {
    this.#state = "picking";
    const request = { headers: this.#headers, body: Buffer.concat(this.#body), subset: this.#subset };
    return [{ type: "pick", request }];
  }

  /** The body that was held, in parts that Envoy takes. */
  #bodyBack(): Effect[] {
    const whole = Buffer.concat(this.#body);
    this.#body = [];
    const effects: Effect[] = [];
    for (let start = 0; start < whole.length || start === 0; start += CHUNK_BYTES) {
      const body = whole.subarray(start, start + CHUNK_BYTES);
      const end_of_stream = start + CHUNK_BYTES >= whole.length && !this.#hasTrailers;
      const response = { body_mutation: { streamed_response: { body, end_of_stream } } };
      effects.push({ type: "send", response: { request_body: { response } } });
    }
    return effects;
  }

  #assert(state: "start" | "body" | "picked", what: string): void {
    if (this.#state !== state) throw new ExchangeError(`${what} came where none could be`);
  }
}

/** By lower-case name; of several with one name the last. */
export function headersOf(map: HeaderMap | undefined): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const { key, value, raw_value: raw } of map?.headers ?? []) {
    headers[key.toLowerCase()] =
      raw !== undefined && raw.length > 0 ? Buffer.from(raw).toString("latin1") : (value ?? "");
  }
  return headers;
}

/** The hint is a text with commas, or a list. */
function subsetOf(hint: Struct | undefined): readonly string[] | null {
  const value = hint?.fields?.[SUBSET_KEY];
  if (value === undefined) return null;
  const texts = value.list_value?.values?.map((each: Value) => each.string_value ?? "") ?? [value.string_value ?? ""];
  return texts
    .join(",")
    .split(",")
    .map((text) => text.trim())
    .filter((text) => text !== "");
}

function headerMutation(headers: readonly (readonly [string, string])[]) {
  return {
    set_headers: headers.map(([key, value]) => ({
      header: { key, raw_value: Buffer.from(value, "latin1") },
      append_action: OVERWRITE_IF_EXISTS_OR_ADD,
    })),
  };
}

function metadata(endpoints: string): Struct {
  const fields = { [DESTINATION]: { string_value: endpoints } };
  return { fields: { [METADATA_NAMESPACE]: { struct_value: { fields } } } };
}

function refusal({ status, body, retryAfter }: Extract<Picked, { readonly status: number }>): ProcessingResponse {
  const headers: [string, string][] = [["content-type", "application/json"]];
  if (retryAfter !== undefined) headers.push(["retry-after", String(retryAfter)]);
  return {
    immediate_response: {
      status: { code: status },
      headers: headerMutation(headers),
      body: Buffer.from(body),
      details: "kv-event-sync endpoint picker",
    },
  };
}
