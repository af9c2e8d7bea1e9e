import { KVEventSyncError } from "../errors.ts";

/** Beyond it, what is given is no endpoint. */
const MAX_ENDPOINT_CHARACTERS = 1_024;
const MAX_PORT = 65_535;

/**
 * Checks what can be checked of an endpoint to connect to without connecting: `tcp://host:port`, or another scheme with
 * something behind it.
 *
 * @throws KVEventSyncError `invalid-endpoint`
 */
export function checkEndpoint(endpoint: string): void {
  const [, scheme, address = ""] = /^([a-z][a-z0-9+.-]*):\/\/(.+)$/i.exec(endpoint) ?? [];
  if (scheme === undefined || endpoint.length > MAX_ENDPOINT_CHARACTERS) {
    throw invalid(endpoint, "expected scheme://address, such as tcp://10.0.0.1:5557");
  }
  if (scheme.toLowerCase() !== "tcp") return;
  const [, host, port] = /^(\[[^\]]+\]|[^:/\s]+):(\d+)$/.exec(address) ?? [];
  if (host === undefined || host === "*") throw invalid(endpoint, "expected tcp://host:port, IPv6 in brackets");
  if (Number(port) < 1 || Number(port) > MAX_PORT) throw invalid(endpoint, `the port has to be from 1 to ${MAX_PORT}`);
}

/**
 * The same endpoint for the data-parallel rank that is `offset` further, as vLLM has it
 * (`vllm/distributed/kv_events.py`, `offset_endpoint_port`): with a port that is higher, or `inproc` with another name.
 *
 * @throws KVEventSyncError `invalid-endpoint` where there is no port, or none so high.
 */
export function withPortOffset(endpoint: string, offset: number): string {
  if (offset === 0) return endpoint;
  if (/^inproc:/i.test(endpoint)) return `${endpoint}_dp${offset}`;
  const [, before, port] = /^(tcp:\/\/.*:)(\d+)$/i.exec(endpoint) ?? [];
  if (before === undefined) throw invalid(endpoint, "data-parallel ranks need tcp://host:port, whose port counts up");
  const shifted = `${before}${Number(port) + offset}`;
  checkEndpoint(shifted);
  return shifted;
}

/** `host:port`, or what else follows the scheme: a name for the pod behind an endpoint. */
export function addressOf(endpoint: string): string {
  return endpoint.replace(/^[a-z][a-z0-9+.-]*:\/\//i, "");
}

/**
 * The base URL of an HTTP server, without a slash at its end.
 *
 * @throws KVEventSyncError `invalid-endpoint`
 */
export function checkHttpUrl(url: string): string {
  const parsed = URL.canParse(url) && url.length <= MAX_ENDPOINT_CHARACTERS ? new URL(url) : null;
  const isBase = parsed !== null && /^https?:$/.test(parsed.protocol) && parsed.search === "" && parsed.hash === "";
  if (!isBase) throw invalid(url, "expected the base URL of an HTTP server, such as http://10.0.0.1:8000");
  return url.replace(/\/+$/, "");
}

function invalid(endpoint: string, problem: string): KVEventSyncError {
  const shown = endpoint.length > 200 ? `${endpoint.slice(0, 200)}…` : endpoint;
  return new KVEventSyncError("invalid-endpoint", `endpoint ${JSON.stringify(shown)}: ${problem}`);
}
