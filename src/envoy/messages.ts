/** One header, as Envoy sends it: in `raw_value`, and in `value` in old versions. */
export interface HeaderValue {
  readonly key: string;
  readonly value?: string;
  readonly raw_value?: Uint8Array;
}

export interface HeaderMap {
  readonly headers?: readonly HeaderValue[];
}

/** `google.protobuf.Value`, as far as a hint can be one. */
export interface Value {
  readonly string_value?: string;
  readonly struct_value?: Struct;
  readonly list_value?: { readonly values?: readonly Value[] };
}

export interface Struct {
  readonly fields?: Readonly<Record<string, Value>>;
}

/** What Envoy tells; one of the first six. */
export interface ProcessingRequest {
  readonly request_headers?: { readonly headers?: HeaderMap; readonly end_of_stream?: boolean };
  readonly request_body?: { readonly body?: Uint8Array; readonly end_of_stream?: boolean };
  readonly request_trailers?: object;
  readonly response_headers?: { readonly headers?: HeaderMap; readonly end_of_stream?: boolean };
  readonly response_body?: { readonly body?: Uint8Array; readonly end_of_stream?: boolean };
  readonly response_trailers?: object;
  readonly metadata_context?: { readonly filter_metadata?: Readonly<Record<string, Struct>> };
  /** In the first message alone, of Envoys that say it. */
  readonly protocol_config?: { readonly request_body_mode?: number; readonly response_body_mode?: number };
}

interface CommonResponse {
  readonly header_mutation?: {
    readonly set_headers: readonly { readonly header: HeaderValue; readonly append_action: number }[];
  };
  readonly body_mutation?: {
    readonly streamed_response: { readonly body: Uint8Array; readonly end_of_stream: boolean };
  };
  readonly clear_route_cache?: boolean;
}

/** What Envoy is told; one of the first seven. */
export interface ProcessingResponse {
  readonly request_headers?: { readonly response: CommonResponse };
  readonly request_body?: { readonly response: CommonResponse };
  readonly request_trailers?: object;
  readonly response_headers?: { readonly response: CommonResponse };
  readonly response_body?: { readonly response: CommonResponse };
  readonly response_trailers?: object;
  readonly immediate_response?: {
    readonly status: { readonly code: number };
    readonly headers: NonNullable<CommonResponse["header_mutation"]>;
    readonly body: Uint8Array;
    readonly details: string;
  };
  readonly dynamic_metadata?: Struct;
}

/** `envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode`. */
export const BodySendMode = { none: 0, streamed: 1, buffered: 2, bufferedPartial: 3, fullDuplexStreamed: 4 } as const;

/** `HeaderValueOption.HeaderAppendAction`. */
export const OVERWRITE_IF_EXISTS_OR_ADD = 2;
