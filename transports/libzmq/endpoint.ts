import { isIPv4, isIPv6 } from "node:net";
import { TransportError } from "../../src/errors.ts";

/** `sun_path` holds 108 bytes on Linux, one of them the terminator. */
const MAX_IPC_PATH_BYTES = 107;

/**
 * Reads `tcp://host:port` or `ipc://path` and gives what libzmq is to be told. libzmq itself takes a port of 99999 for
 * 34463, and tells no reason for what it refuses. To bind, the host may be `*` and the port `*` or 0; `ipc://*` takes a
 * free path; `ipc://@name` is Linux's abstract namespace. An IPv6 address stands in brackets.
 * Throws TransportError `invalid-endpoint`, or `unsupported` for another scheme.
 */
export function nativeEndpoint(text: string, use: "connect" | "bind"): string {
  const separator = text.indexOf("://");
  if (separator < 0) throw invalid(text, "it has no scheme; write tcp://host:port or ipc://path");
  const scheme = text.slice(0, separator);
  const address = text.slice(separator + 3);
  if (scheme === "tcp") return nativeTcp(text, address, use);
  if (scheme === "ipc") return nativeIpc(text, address, use);
  throw new TransportError("unsupported", `libzmq ${text}: scheme "${scheme}" is not supported; use tcp:// or ipc://`);
}

/** Where others connect to, of what libzmq says that it is bound to: it writes IPv4 as IPv6, and every interface as `::`. */
export function connectableEndpoint(bound: string): string {
  const [, host, port] = /^tcp:\/\/\[?(.*?)\]?:(\d+)$/.exec(bound) ?? [];
  if (host === undefined) return bound;
  const plain = host.toLowerCase().startsWith("::ffff:") && isIPv4(host.slice(7)) ? host.slice(7) : host;
  const target = plain === "::" || plain === "0.0.0.0" ? "127.0.0.1" : plain;
  return `tcp://${target.includes(":") ? `[${target}]` : target}:${port}`;
}

function nativeTcp(text: string, address: string, use: "connect" | "bind"): string {
  const colon = address.lastIndexOf(":");
  if (colon < 0) throw invalid(text, "it has no port; write tcp://host:port");
  const host = address.slice(0, colon);
  checkHost(text, host, use);
  return `tcp://${host}:${nativePort(text, address.slice(colon + 1), use)}`;
}

function checkHost(text: string, host: string, use: "connect" | "bind"): void {
  if (host === "*") {
    if (use === "bind") return;
    throw invalid(text, "* is every interface and can only be bound; name a host to connect to");
  }
  if (host.startsWith("[") && host.endsWith("]")) {
    if (isIPv6(host.slice(1, -1))) return;
    throw invalid(text, `"${host.slice(1, -1)}" is not an IPv6 address`);
  }
  if (host.includes(":")) throw invalid(text, "write an IPv6 address in brackets, as in tcp://[::1]:5557");
  if (/^[\d.]+$/.test(host) && !isIPv4(host)) throw invalid(text, `"${host}" is not an IPv4 address`);
  if (!/^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$/.test(host)) {
    throw invalid(text, `"${host}" is not a host name`);
  }
}

function nativePort(text: string, port: string, use: "connect" | "bind"): string {
  if (use === "bind" && (port === "*" || port === "0")) return "*";
  const value = /^\d{1,5}$/.test(port) ? Number(port) : Number.NaN;
  if (value >= 1 && value <= 65_535) return port;
  throw invalid(text, `"${port}" is not a port from ${use === "bind" ? 0 : 1} to 65535`);
}

function nativeIpc(text: string, path: string, use: "connect" | "bind"): string {
  if (path === "*" && use === "bind") return text;
  if (path === "" || path === "*" || path === "@" || path.includes("\0")) {
    throw invalid(text, "it names no path; write ipc:///run/engine.sock");
  }
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_IPC_PATH_BYTES) {
    throw invalid(text, `its path has ${bytes} bytes, a Unix socket's at most ${MAX_IPC_PATH_BYTES}`);
  }
  return text;
}

function invalid(text: string, reason: string): TransportError {
  return new TransportError("invalid-endpoint", `libzmq ${text}: not an endpoint: ${reason}`);
}
