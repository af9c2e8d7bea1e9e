import { TransportError } from "../../../src/errors.ts";
import { type Command, parseMetadata } from "../commands.ts";
import type { Mechanism, MechanismFactory, MechanismStep } from "../mechanism.ts";
import { copyOf, printable } from "../wire.ts";
import { encodeZ85 } from "../z85.ts";
import { longNonce, nonce, openOrRefuse, type Secretbox, shortNonce } from "./box.ts";
import { CurveCodec } from "./codec.ts";
import {
  encodeHello,
  encodeInitiate,
  encodeInitiateContent,
  parseReady,
  parseWelcome,
  parseWelcomeContent,
  SIGNATURE,
} from "./commands.ts";
import { type KeyPair, newKeyPair, sharedKey } from "./keys.ts";

/** What a client needs to know beforehand. */
export interface CurveClientParts {
  /** Its own permanent keys. */
  readonly keys: KeyPair;
  /** The server's permanent public key. */
  readonly serverKey: Uint8Array;
  readonly secretbox: Secretbox;
}

/** CURVE (RFC 25 and 26) as client: talks to nobody but the owner of `serverKey`. */
export function curveClient(parts: CurveClientParts): MechanismFactory {
  return (metadata) => new CurveClient(parts, metadata);
}

/** Short nonces of the handshake; MESSAGE goes on from there. */
const HELLO_COUNT = 1;
const INITIATE_COUNT = 2;

type Stage =
  | { readonly expected: null }
  | { readonly expected: "WELCOME"; readonly shortTerm: KeyPair; readonly key: Uint8Array }
  | { readonly expected: "READY"; readonly key: Uint8Array };

class CurveClient implements Mechanism {
  readonly name = "CURVE";
  readonly asServer = false;
  readonly #parts: CurveClientParts;
  readonly #metadata: Uint8Array;
  #stage: Stage = { expected: null };

  constructor(parts: CurveClientParts, metadata: Uint8Array) {
    this.#parts = parts;
    this.#metadata = metadata;
  }

  start(): readonly Uint8Array[] {
    const { serverKey, secretbox } = this.#parts;
    const shortTerm = newKeyPair();
    const key = sharedKey(shortTerm.secretKey, serverKey);
    const count = shortNonce(HELLO_COUNT);
    this.#stage = { expected: "WELCOME", shortTerm, key };
    const box = secretbox.seal(SIGNATURE, nonce("CurveZMQHELLO---", count), key);
    return [encodeHello({ publicKey: shortTerm.publicKey, count, box })];
  }

  receive(command: Command): MechanismStep {
    const stage = this.#stage;
    if (stage.expected === "WELCOME" && command.name === "WELCOME") {
      return this.#welcome(command.data, stage.shortTerm, stage.key);
    }
    if (stage.expected === "READY" && command.name === "READY") return this.#ready(command.data, stage.key);
    const what = `command "${printable(command.name)}" came instead of ${stage.expected}`;
    throw new TransportError("protocol", `${what}; one side has to be the server of CURVE, the other its client`);
  }

  onSilentClose(): TransportError | null {
    const { expected } = this.#stage;
    if (expected === null) return null;
    return new TransportError(
      "authentication",
      expected === "WELCOME"
        ? "the peer closed the connection at our HELLO; check that serverKey is its public key"
        : `the peer closed the connection at our INITIATE; check that it accepts our public key ${this.#ownKey}`,
    );
  }

  get #ownKey(): string {
    return encodeZ85(this.#parts.keys.publicKey);
  }

  #welcome(data: Uint8Array, shortTerm: KeyPair, helloKey: Uint8Array): MechanismStep {
    const { secretbox } = this.#parts;
    const { random, box } = parseWelcome(data);
    const refusal = "WELCOME was not sealed by the owner of serverKey";
    const content = openOrRefuse(secretbox, box, nonce("WELCOME-", random), helloKey, refusal);
    const { publicKey: serverShortTerm, cookie } = parseWelcomeContent(content);
    const key = sharedKey(shortTerm.secretKey, serverShortTerm);
    const count = shortNonce(INITIATE_COUNT);
    this.#stage = { expected: "READY", key };
    const initiate = this.#initiate(shortTerm.publicKey, serverShortTerm);
    return {
      send: [encodeInitiate({ cookie, count, box: secretbox.seal(initiate, nonce("CurveZMQINITIATE", count), key) })],
    };
  }

  /** What INITIATE has in its box: who we are, and that this short-term key is ours. */
  #initiate(shortTerm: Uint8Array, serverShortTerm: Uint8Array): Uint8Array {
    const { keys, serverKey, secretbox } = this.#parts;
    const vouchRandom = longNonce();
    const vouchKey = sharedKey(keys.secretKey, serverShortTerm);
    const vouch = Buffer.concat([shortTerm, serverKey]);
    const vouchBox = secretbox.seal(vouch, nonce("VOUCH---", vouchRandom), vouchKey);
    return encodeInitiateContent({ publicKey: keys.publicKey, vouchRandom, vouchBox, metadata: this.#metadata });
  }

  #ready(data: Uint8Array, key: Uint8Array): MechanismStep {
    const { secretbox } = this.#parts;
    const { count, box } = parseReady(data);
    const refusal = "READY was not sealed by the peer that sent WELCOME";
    const metadata = parseMetadata(openOrRefuse(secretbox, box, nonce("CurveZMQREADY---", count), key, refusal));
    const received = copyOf(count);
    const codec = new CurveCodec({ secretbox, key, asServer: false, sent: INITIATE_COUNT, received });
    return { send: [], done: { metadata, codec } };
  }
}
