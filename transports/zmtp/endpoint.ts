import { isIPv4, isIPv6 } from "node:net";
import { TransportError } from "../../src/errors.ts";

/** Where to connect to, or to listen. `host` is `null` for every interface; `port` 0 takes a free one. */
export type Endpoint =
  | { readonly scheme: "tcp"; readonly host: string | null; readonly port: number }
  | { readonly scheme: "ipc"; readonly path: string | null };

/** `sun_path` holds 108 bytes on Linux, one of them the terminator. */
const MAX_IPC_PATH_BYTES = 107;

/**
 * Reads `tcp://host:port` or `ipc://path`. To bind, the host may be `*` and the port `*` or 0; `ipc://*` takes a free
 * path; `ipc://@name` is Linux's abstract namespace. An IPv6 address stands in brackets.
 * Throws TransportError `invalid-endpoint`, or `unsupported` for another scheme.
 */
export function parseEndpoint(text: string, use: "connect" | "bind"): Endpoint {
  const separator = text.indexOf("://");
  if (separator < 0) throw invalid(text, "it has no scheme; write tcp://host:port or ipc://path");
  const scheme = text.slice(0, separator);
  const address = text.slice(separator + 3);
  if (scheme === "tcp") return parseTcp(text, address, use);
  if (scheme === "ipc") return parseIpc(text, address, use);
  throw new TransportError("unsupported", `zmtp ${text}: scheme "${scheme}" is not supported; use tcp:// or ipc://`);
}

/** `tcp://host:port`, with brackets round an IPv6 address; an IPv4 address mapped into IPv6 is written as IPv4. */
export function formatTcpEndpoint(host: string, port: number): string {
  const plain = plainAddress(host);
  return `tcp://${plain.includes(":") ? `[${plain}]` : plain}:${port}`;
}

/** An IPv4 address that is mapped into IPv6, as IPv4; any other address as it is. */
export function plainAddress(address: string): string {
  return address.toLowerCase().startsWith("::ffff:") && isIPv4(address.slice(7)) ? address.slice(7) : address;
}

function parseTcp(text: string, address: string, use: "connect" | "bind"): Endpoint {
  const colon = address.lastIndexOf(":");
  if (colon < 0) throw invalid(text, "it has no port; write tcp://host:port");
  return {
    scheme: "tcp",
    host: parseHost(text, address.slice(0, colon), use),
    port: parsePort(text, address.slice(colon + 1), use),
  };
}

function parseHost(text: string, host: string, use: "connect" | "bind"): string | null {
  if (host === "*") {
    if (use === "bind") return null;
    throw invalid(text, "* is every interface and can only be bound; name a host to connect to");
  }
  if (host.startsWith("[") && host.endsWith("]")) {
    const literal = host.slice(1, -1);
    if (isIPv6(literal)) return literal;
    throw invalid(text, `"${literal}" is not an IPv6 address`);
  }
  if (host.includes(":")) throw invalid(text, "write an IPv6 address in brackets, as in tcp://[::1]:5557");
  if (/^[\d.]+$/.test(host) && !isIPv4(host)) throw invalid(text, `"${host}" is not an IPv4 address`);
  if (!/^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$/.test(host)) {
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

function parseIpc(text: string, path: string, use: "connect" | "bind"): Endpoint {
  if (path === "*" && use === "bind") return { scheme: "ipc", path: null };
  if (path === "" || path === "*" || path === "@" || path.includes("\0")) {
    throw invalid(text, "it names no path; write ipc:///run/engine.sock");
  }
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_IPC_PATH_BYTES) {
    throw invalid(text, `its path has ${bytes} bytes, a Unix socket's at most ${MAX_IPC_PATH_BYTES}`);
  }
  return { scheme: "ipc", path: path.startsWith("@") ? `\0${path.slice(1)}` : path };
}

function invalid(text: string, reason: string): TransportError {
  return new TransportError("invalid-endpoint", `zmtp ${text}: not an endpoint: ${reason}`);
}
