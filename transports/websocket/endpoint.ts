import { isIPv4, isIPv6 } from "node:net";
import { TransportError } from "../../src/errors.ts";

/** Where to connect to, or to listen. `host` is `null` for every interface; `port` 0 takes a free one. */
export interface Endpoint {
  /** Without the brackets of an IPv6 address. */
  readonly host: string | null;
  readonly port: number;
  /** Begins with `/`. */
  readonly path: string;
}

const DEFAULT_PORT = 80;

/**
 * Reads `ws://host:port/path`; port 80 and path `/` go without saying. To bind, the host may be `*` and the port `*` or
 * 0. An IPv6 address stands in brackets. Throws TransportError `invalid-endpoint`, or `unsupported` for `wss://` and
 * every other scheme.
 */
export function parseEndpoint(text: string, use: "connect" | "bind"): Endpoint {
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) throw invalid(text, "it has no scheme; write ws://host:port");
  const slash = rest.search(/[/?#]/);
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const path = slash < 0 ? "/" : rest.slice(slash);
  const colon = authority.endsWith("]") ? -1 : authority.lastIndexOf(":");
  const endpoint = {
    host: parseHost(text, colon < 0 ? authority : authority.slice(0, colon), use),
    port: colon < 0 ? DEFAULT_PORT : parsePort(text, authority.slice(colon + 1), use),
    path: parsePath(text, path),
  };
  if (scheme.toLowerCase() === "ws") return endpoint;
  const remedy =
    scheme.toLowerCase() === "wss" ? "use ws://, and let a proxy at the peer do the encryption" : "use ws://";
  throw new TransportError("unsupported", `websocket ${text}: scheme "${scheme}" is not supported; ${remedy}`);
}

/** `ws://host:port/path`, with brackets round an IPv6 address; an IPv4 address mapped into IPv6 is written as IPv4. */
export function formatEndpoint(host: string, port: number, path: string): string {
  const plain = host.toLowerCase().startsWith("::ffff:") && isIPv4(host.slice(7)) ? host.slice(7) : host;
  const rest = path === "/" ? "" : path;
  return `ws://${plain.includes(":") ? `[${plain}]` : plain}:${port}${rest}`;
}

function parseHost(text: string, host: string, use: "connect" | "bind"): string | null {
  if (host === "*") {
    if (use === "bind") return null;
    throw invalid(text, "* is every interface and can only be bound; name a host to connect to");
  }
  if (host.startsWith("[") && host.endsWith("]")) {
    const literal = host.slice(1, -1);
    if (isIPv6(literal) && !literal.includes("%")) return literal;
    throw invalid(text, `"${literal}" is not an IPv6 address`);
  }
  if (host.includes(":")) throw invalid(text, "write an IPv6 address in brackets, as in ws://[::1]:5557");
  if (/^[\d.]+$/.test(host) && !isIPv4(host)) throw invalid(text, `"${host}" is not an IPv4 address`);
  // A URL refuses more than the letters show: a.0 ends in a number and is no address.
  if (!/^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$/.test(host) || !URL.canParse(`ws://${host}`)) {
    throw invalid(text, `"${host}" is not a host name`);
  }
  return host;
}

function parsePort(text: string, port: string, use: "connect" | "bind"): number {
  if (use === "bind" && port === "*") return 0;
  const value = /^\d{1,5}$/.test(port) ? Number(port) : Number.NaN;
  const lowest = use === "bind" ? 0 : 1;
  if (value >= lowest && value <= 65_535) return value;
  throw invalid(text, `"${port}" is not a port from ${lowest} to 65535`);
}

function parsePath(text: string, path: string): string {
  if (/^(\/[\w~-][\w.~-]*)*\/?$/.test(path)) return path;
  throw invalid(text, `"${path}" is not a plain path; use letters, digits and -._~ between single slashes`);
}

function invalid(text: string, reason: string): TransportError {
  return new TransportError("invalid-endpoint", `websocket ${text}: not an endpoint: ${reason}`);
}
