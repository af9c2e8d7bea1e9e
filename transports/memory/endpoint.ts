import { TransportError } from "../../src/errors.ts";

/** Where a socket is bound or connects to. `port` is null for every scheme but `tcp`: what follows it is then a name. */
export interface Endpoint {
  readonly scheme: string;
  /** Host or name; `*` is every host, or a name to be generated. */
  readonly name: string;
  /** 0 is a free one. */
  readonly port: number | null;
}

/** Spellings of one place: a process that listens on an interface of its own machine. */
const LOCAL_HOSTS: ReadonlySet<string> = new Set(["localhost", "[::1]", "127.0.0.1"]);
const EVERY_HOST: ReadonlySet<string> = new Set(["*", "0.0.0.0", "[::]"]);

/**
 * Reads any text with a scheme: `tcp://host:port` is understood, what follows another scheme is taken as a name. To
 * bind, the host or name may be `*` and the port 0 or `*`. Throws TransportError `invalid-endpoint`.
 */
export function parseEndpoint(text: string, use: "connect" | "bind"): Endpoint {
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):\/\/(.+)$/is.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) {
    throw invalid(text, "write a scheme and a name, as in inproc://engine or tcp://127.0.0.1:5557");
  }
  const endpoint = scheme.toLowerCase() === "tcp" ? parseTcp(text, rest) : { scheme, name: rest, port: null };
  if (use === "connect" && (endpoint.name === "*" || endpoint.port === 0)) {
    throw invalid(text, "* and port 0 can only be bound; connect to the endpoint that bind resolved to");
  }
  return endpoint;
}

/** Equal for all spellings of one place. */
export function endpointKey({ scheme, name, port }: Endpoint): string {
  return port === null ? `${scheme}://${name}` : `${scheme}://${name}:${port}`;
}

function parseTcp(text: string, rest: string): Endpoint {
  const colon = rest.lastIndexOf(":");
  const host = rest.slice(0, Math.max(colon, 0)).toLowerCase();
  const port = rest.slice(colon + 1);
  if (host === "") throw invalid(text, "write tcp://host:port");
  if (host.includes(":") && !/^\[[0-9a-f:.]+\]$/.test(host)) {
    throw invalid(text, "write an IPv6 address in brackets, as in tcp://[::1]:5557");
  }
  const value = port === "*" ? 0 : /^\d{1,5}$/.test(port) ? Number(port) : Number.NaN;
  if (!(value <= 65_535)) throw invalid(text, `"${port}" is not a port from 0 to 65535`);
  const name = EVERY_HOST.has(host) ? "*" : LOCAL_HOSTS.has(host) ? "127.0.0.1" : host;
  return { scheme: "tcp", name, port: value };
}

function invalid(text: string, reason: string): TransportError {
  return new TransportError("invalid-endpoint", `memory ${text}: not an endpoint: ${reason}`);
}
