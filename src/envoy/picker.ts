import { GatewayError } from "../gateway/openai.ts";
import { decide, routeRequestOf } from "../gateway/route-request.ts";
import type { ActiveRequest } from "../routing/load.ts";
import type { RequestRouter, RouteDecision } from "../routing/request-router.ts";
import type { RouteCandidate } from "../routing/strategy.ts";
import type { PodDirectory } from "../sync/status.ts";
import type { Picked, PickRequest } from "./exchange.ts";

/** How endpoints are picked. */
export interface PickerOptions {
  /** Requests to one pod at a time. @default 256 */
  readonly maxInFlight: number;
  /** Endpoints that Envoy may try after the first one. @default 2 */
  readonly fallbacks: number;
  /** Models that are adapters, and the model of the pods that have them. */
  readonly adapters: Readonly<Record<string, string>>;
}

/** A pick, and the request that is counted from then on. */
export interface Pick {
  readonly picked: Picked;
  readonly active: ActiveRequest | null;
}

const RETRY_AFTER_SECONDS = 1;

/** Asks the router for the endpoints of a request. Never rejects but with the signal's reason. */
export class EndpointPicker {
  readonly #router: RequestRouter;
  readonly #directory: PodDirectory;
  readonly #options: PickerOptions;

  constructor(router: RequestRouter, directory: PodDirectory, options: Partial<PickerOptions> = {}) {
    this.#router = router;
    this.#directory = directory;
    this.#options = { maxInFlight: 256, fallbacks: 2, adapters: {}, ...options };
  }

  async pick({ headers, body, subset }: PickRequest, signal: AbortSignal): Promise<Pick> {
    try {
      const path = (headers[":path"] ?? "/").split("?", 1)[0]!;
      const client = { method: headers[":method"] ?? "GET", path, headers, body, signal };
      const request = routeRequestOf(client, this.#directory, this.#options.adapters);
      const decision = await decide(this.#router, request);
      return this.#choose(decision, subset);
    } catch (error) {
      if (signal.aborted) throw error;
      if (error instanceof GatewayError) return refused(error);
      return refused(new GatewayError(500, "internal_error", "the endpoint picker failed; its log tells why"));
    }
  }

  #choose(decision: RouteDecision, subset: readonly string[] | null): Pick {
    const chosen = decision.candidates.find(({ pod }) => pod === decision.pod)!;
    const others = decision.candidates.filter(({ pod }) => pod !== decision.pod);
    others.sort((left, right) => left.expectedTtftMs - right.expectedTtftMs);
    const known = [chosen, ...others].flatMap((candidate) => {
      const endpoint = endpointOf(candidate);
      return endpoint !== null && (subset === null || subset.includes(endpoint)) ? [{ candidate, endpoint }] : [];
    });
    if (known.length === 0) {
      const where = subset === null ? "has an address" : `is among ${subset.join(", ") || "none"}`;
      return refused(new GatewayError(503, "unavailable", `no pod ${where} that can take requests`));
    }
    const { maxInFlight, fallbacks } = this.#options;
    const free = known.filter(({ candidate }) => this.#router.runningOn(candidate.pod) < maxInFlight);
    const [first] = free;
    if (first === undefined) {
      const problem = `each of ${known.length} pods has ${maxInFlight} requests already; ask again later`;
      return refused(new GatewayError(429, "rate_limit_exceeded", problem, { retryAfter: RETRY_AFTER_SECONDS }));
    }
    const endpoints = free.slice(0, 1 + fallbacks).map(({ endpoint }) => endpoint);
    const { pod } = first.candidate;
    return { picked: { endpoints, pod }, active: this.#router.begin(decision, pod) };
  }
}

/** `ip:port` of a pod's HTTP server. */
function endpointOf({ address }: RouteCandidate): string | null {
  if (address === null) return null;
  const { host, port, protocol } = new URL(address);
  return port === "" ? `${host}:${protocol === "https:" ? 443 : 80}` : host;
}

function refused(error: GatewayError): Pick {
  const { status, retryAfter } = error;
  const picked = { status, body: JSON.stringify(error.body), ...(retryAfter !== undefined && { retryAfter }) };
  return { picked, active: null };
}
