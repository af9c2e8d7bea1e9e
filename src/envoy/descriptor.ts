/**
 * What Envoy's external processing says on the wire, in the form that protobuf.js reads: only what is used here, under
 * the numbers of `envoy/service/ext_proc/v3/external_processor.proto`, `envoy/config/core/v3/base.proto` and
 * `grpc/health/v1/health.proto`.
 */
type Field = { readonly type: string; readonly id: number; readonly rule?: "repeated"; readonly keyType?: string };
type Message = {
  readonly fields: Readonly<Record<string, Field>>;
  readonly oneofs?: Readonly<Record<string, { readonly oneof: readonly string[] }>>;
};

const field = (id: number, type: string): Field => ({ id, type });
const repeated = (id: number, type: string): Field => ({ id, type, rule: "repeated" });
const map = (id: number, type: string): Field => ({ id, type, keyType: "string" });

function message(
  fields: Readonly<Record<string, Field>>,
  oneof?: readonly [name: string, of: readonly string[]],
): Message {
  return { fields, ...(oneof !== undefined && { oneofs: { [oneof[0]]: { oneof: oneof[1] } } }) };
}

const EXT_PROC = {
  ExternalProcessor: {
    methods: {
      Process: {
        requestType: "ProcessingRequest",
        requestStream: true,
        responseType: "ProcessingResponse",
        responseStream: true,
      },
    },
  },
  ProcessingRequest: message(
    {
      request_headers: field(2, "HttpHeaders"),
      response_headers: field(3, "HttpHeaders"),
      request_body: field(4, "HttpBody"),
      response_body: field(5, "HttpBody"),
      request_trailers: field(6, "HttpTrailers"),
      response_trailers: field(7, "HttpTrailers"),
      metadata_context: field(8, "Metadata"),
      protocol_config: field(11, "ProtocolConfiguration"),
    },
    [
      "request",
      ["request_headers", "response_headers", "request_body", "response_body", "request_trailers", "response_trailers"],
    ],
  ),
  ProtocolConfiguration: message({ request_body_mode: field(1, "int32"), response_body_mode: field(2, "int32") }),
  ProcessingResponse: message(
    {
      request_headers: field(1, "CommonAnswer"),
      response_headers: field(2, "CommonAnswer"),
      request_body: field(3, "CommonAnswer"),
      response_body: field(4, "CommonAnswer"),
      request_trailers: field(5, "TrailersResponse"),
      response_trailers: field(6, "TrailersResponse"),
      immediate_response: field(7, "ImmediateResponse"),
      dynamic_metadata: field(8, "Struct"),
    },
    [
      "response",
      [
        "request_headers",
        "response_headers",
        "request_body",
        "response_body",
        "request_trailers",
        "response_trailers",
        "immediate_response",
      ],
    ],
  ),
  HttpHeaders: message({ headers: field(1, "HeaderMap"), end_of_stream: field(3, "bool") }),
  HttpBody: message({ body: field(1, "bytes"), end_of_stream: field(2, "bool") }),
  HttpTrailers: message({ trailers: field(1, "HeaderMap") }),
  HeaderMap: message({ headers: repeated(1, "HeaderValue") }),
  HeaderValue: message({ key: field(1, "string"), value: field(2, "string"), raw_value: field(3, "bytes") }),
  // HeadersResponse and BodyResponse: both have a CommonResponse as their first field and nothing else.
  CommonAnswer: message({ response: field(1, "CommonResponse") }),
  TrailersResponse: message({ header_mutation: field(1, "HeaderMutation") }),
  CommonResponse: message({
    status: field(1, "int32"),
    header_mutation: field(2, "HeaderMutation"),
    body_mutation: field(3, "BodyMutation"),
    clear_route_cache: field(5, "bool"),
  }),
  HeaderMutation: message({ set_headers: repeated(1, "HeaderValueOption"), remove_headers: repeated(2, "string") }),
  HeaderValueOption: message({ header: field(1, "HeaderValue"), append_action: field(3, "int32") }),
  BodyMutation: message({ streamed_response: field(3, "StreamedBodyResponse") }),
  StreamedBodyResponse: message({ body: field(1, "bytes"), end_of_stream: field(2, "bool") }),
  ImmediateResponse: message({
    status: field(1, "HttpStatus"),
    headers: field(2, "HeaderMutation"),
    body: field(3, "bytes"),
    details: field(5, "string"),
  }),
  HttpStatus: message({ code: field(1, "int32") }),
  Metadata: message({ filter_metadata: map(1, "Struct") }),
  Struct: message({ fields: map(1, "Value") }),
  Value: message(
    {
      number_value: field(2, "double"),
      string_value: field(3, "string"),
      bool_value: field(4, "bool"),
      struct_value: field(5, "Struct"),
      list_value: field(6, "ListValue"),
    },
    ["kind", ["number_value", "string_value", "bool_value", "struct_value", "list_value"]],
  ),
  ListValue: message({ values: repeated(1, "Value") }),
};

const HEALTH = {
  Health: {
    methods: {
      Check: { requestType: "HealthCheckRequest", responseType: "HealthCheckResponse" },
      Watch: { requestType: "HealthCheckRequest", responseType: "HealthCheckResponse", responseStream: true },
    },
  },
  HealthCheckRequest: message({ service: field(1, "string") }),
  HealthCheckResponse: message({ status: field(1, "int32") }),
};

const nest = (path: readonly string[], nested: object): object =>
  path.reduceRight<object>((inner, name) => ({ nested: { [name]: inner } }), { nested });

/** For `fromJSON` of `@grpc/proto-loader`. */
export function descriptor(): object {
  const { nested: envoy } = nest(["envoy", "service", "ext_proc", "v3"], EXT_PROC) as { readonly nested: object };
  const { nested: grpc } = nest(["grpc", "health", "v1"], HEALTH) as { readonly nested: object };
  return { nested: { ...envoy, ...grpc } };
}
