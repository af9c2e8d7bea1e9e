/** What one check came to. `warn`: it works, though not as well as it could; `skipped`: there was nothing to check. */
export type CheckStatus = "ok" | "warn" | "fail" | "skipped";

/** The checks, in the order in which they are made. */
export type CheckName =
  | "configuration"
  | "cluster"
  | "permissions"
  | "pods"
  | "reachable"
  | "handshake"
  | "events"
  | "replay"
  | "tokenizer";

/** One line of a diagnosis. */
export interface Check {
  readonly check: CheckName;
  /** A pod's rank, an endpoint, or what else was checked. */
  readonly subject: string;
  readonly status: CheckStatus;
  /** What was found and, unless it is `ok`, what to do. */
  readonly message: string;
}
