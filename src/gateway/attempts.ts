/** Why a pod did not answer. */
export type Failure = "connect" | "unavailable" | "head-timeout" | "reset";

/** What the gateway can do about a failure. */
export type Verdict = "retry" | "give-up";

/**
 * Whether another pod may be tried: as long as nothing of an answer has come, and where it is certain, or as good as
 * certain, that no engine works on the request. A request that an engine took and did not answer may still run there;
 * it has no effect but its cost, yet that is what an overloaded fleet has least of.
 */
export function judgeFailure(failure: Failure, attempt: number, maxAttempts: number): Verdict {
  if (attempt >= maxAttempts) return "give-up";
  return failure === "head-timeout" ? "give-up" : "retry";
}

/** What undici's errors mean; `reset` where the connection was there and broke. */
export function failureOf(error: unknown): Failure {
  const code = typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  if (code === "UND_ERR_HEADERS_TIMEOUT") return "head-timeout";
  const isConnect = [
    "UND_ERR_CONNECT_TIMEOUT",
    "ECONNREFUSED",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENOTFOUND",
    "EAI_AGAIN",
  ];
  return isConnect.includes(code) ? "connect" : "reset";
}

/** An engine that says so takes no requests now. */
export function isUnavailable(status: number): boolean {
  return status === 503;
}
