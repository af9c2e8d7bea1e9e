import { TransportError } from "../../src/errors.ts";
import { errorBody } from "./commands.ts";
import type { MechanismStep } from "./mechanism.ts";

/** What a client of PLAIN shows of itself. */
export interface PlainRequest {
  readonly mechanism: "PLAIN";
  /** The peer's IP address; empty over ipc. */
  readonly address: string;
  readonly username: string;
  readonly password: string;
}

/** What a client of CURVE has proved of itself: that it holds the secret half of this key. */
export interface CurveRequest {
  readonly mechanism: "CURVE";
  /** The peer's IP address; empty over ipc. */
  readonly address: string;
  /** 40 characters of Z85. */
  readonly publicKey: string;
  /** As the client named itself, which proves nothing; empty when it did not. */
  readonly identity: Uint8Array;
}

/**
 * Whether a client is let in: what a ZAP handler (RFC 27) is to libzmq. Anything but `true`, a throw and a rejection
 * refuse it; an answer after `handshakeTimeoutMs` comes too late.
 */
export type Authenticate<Request extends PlainRequest | CurveRequest> = (
  request: Request,
) => boolean | Promise<boolean>;

/** Codes of ZAP, which libzmq expects as the reason of an ERROR: the client is refused, or the handler failed. */
const REFUSED = "400";
const FAILED = "500";

/** Asks, and goes on with `accept`, or ends with an ERROR for the client and a cause that calls it `client`. */
export async function decide<Request extends PlainRequest | CurveRequest>(
  authenticate: Authenticate<Request>,
  request: Request,
  client: string,
  accept: () => MechanismStep,
): Promise<MechanismStep> {
  let verdict: boolean;
  try {
    verdict = await authenticate(request);
  } catch (cause) {
    return refusal(FAILED, new TransportError("authentication", `authenticate threw on ${client}`, { cause }));
  }
  if (verdict === true) return accept();
  return refusal(REFUSED, new TransportError("authentication", `authenticate refuses ${client}`));
}

/** What a peer's ERROR during the handshake is, when its reason is ZAP's for credentials that it does not accept. */
export function isRefusal(reason: string): boolean {
  return reason === REFUSED;
}

function refusal(reason: string, failure: TransportError): MechanismStep {
  return { send: [errorBody(reason)], failure };
}
