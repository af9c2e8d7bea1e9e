import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";

/** Of a connection, not of a request (RFC 9110, section 7.6.1). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** What the client says to the gateway alone. The length is the body's own. */
const FOR_THE_GATEWAY: ReadonlySet<string> = new Set(["host", "content-length", "expect", "routing-strategy"]);

/** Longest request id that is passed on. */
const MAX_ID_CHARACTERS = 200;

/** Headers of a client's request as an engine gets them. `withKey`: the client's key is the engine's, too. */
export function requestHeaders(
  headers: IncomingHttpHeaders,
  { requestId, withKey }: { readonly requestId: string; readonly withKey: boolean },
): Record<string, string | string[]> {
  const kept = endToEnd(headers, FOR_THE_GATEWAY);
  delete kept["target-pod"];
  if (!withKey) delete kept["authorization"];
  kept["x-request-id"] = requestId;
  return kept;
}

/** Headers of an engine's answer as the client gets them. */
export function responseHeaders(
  headers: IncomingHttpHeaders,
  { requestId, pod }: { readonly requestId: string; readonly pod: string },
): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = endToEnd(headers, new Set());
  // As AIBrix's clients know it.
  kept["target-pod"] = pod;
  kept["x-request-id"] = requestId;
  return kept;
}

/** The client's own id, where it is one; else `make`. */
export function requestIdOf(headers: IncomingHttpHeaders, make: () => string): string {
  const given = headers["x-request-id"];
  const isGood = typeof given === "string" && given.length <= MAX_ID_CHARACTERS && /^[\x21-\x7e]+$/.test(given);
  return isGood ? given : make();
}

/** The key in `Authorization: Bearer <key>`; `null` where there is none. */
export function bearerOf(headers: IncomingHttpHeaders): string | null {
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1] ?? null;
}

/** Without the headers that are of a connection, whether by their own name or named by `Connection`. */
function endToEnd(headers: IncomingHttpHeaders, dropped: ReadonlySet<string>): Record<string, string | string[]> {
  const named = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || HOP_BY_HOP.has(name) || dropped.has(name) || named.has(name)) continue;
    kept[name] = value;
  }
  return kept;
}
