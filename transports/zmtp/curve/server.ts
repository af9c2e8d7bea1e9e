import { randomBytes, timingSafeEqual } from "node:crypto";
import { TransportError } from "../../../src/errors.ts";
import { type Authenticate, type CurveRequest, decide } from "../authentication.ts";
import { type Command, type Metadata, parseMetadata } from "../commands.ts";
import type { Mechanism, MechanismFactory, MechanismStep } from "../mechanism.ts";
import { copyOf, EMPTY, printable } from "../wire.ts";
import { encodeZ85 } from "../z85.ts";
import { longNonce, nonce, openOrRefuse, type Secretbox, shortNonce } from "./box.ts";
import { CurveCodec } from "./codec.ts";
import {
  COOKIE_BYTES,
  encodeReady,
  encodeWelcome,
  encodeWelcomeContent,
  type InitiateContent,
  parseHello,
  parseInitiate,
  parseInitiateContent,
} from "./commands.ts";
import { type KeyPair, newKeyPair, sharedKey } from "./keys.ts";

/** What a server needs to know beforehand. */
export interface CurveServerParts {
  /** Its permanent keys. */
  readonly keys: KeyPair;
  readonly secretbox: Secretbox;
  /** `null` lets in every client that knows the server's public key. */
  readonly authenticate: Authenticate<CurveRequest> | null;
}

/** CURVE (RFC 25 and 26) as server: lets in whom `authenticate` accepts. */
export function curveServer(parts: CurveServerParts): MechanismFactory {
  return (metadata) => new CurveServer(parts, metadata);
}

/** Short nonce of READY; MESSAGE goes on from there. */
const READY_COUNT = 1;

/**
 * Between HELLO and INITIATE. The RFC lets a server put all of it into the cookie and forget the client; but a client
 * here has a connection, which is limited in number and time, so the cookie only has to be this connection's.
 */
interface Greeted {
  readonly clientShortTerm: Uint8Array;
  readonly shortTerm: KeyPair;
  readonly cookie: Uint8Array;
}

class CurveServer implements Mechanism {
  readonly name = "CURVE";
  readonly asServer = true;
  readonly #parts: CurveServerParts;
  readonly #metadata: Uint8Array;
  #greeted: Greeted | null = null;

  constructor(parts: CurveServerParts, metadata: Uint8Array) {
    this.#parts = parts;
    this.#metadata = metadata;
  }

  start(): readonly Uint8Array[] {
    return [];
  }

  receive(command: Command): MechanismStep {
    const greeted = this.#greeted;
    const expected = greeted === null ? "HELLO" : "INITIATE";
    if (command.name !== expected) {
      const what = `command "${printable(command.name)}" came instead of ${expected}`;
      throw new TransportError("protocol", `${what}; one side has to be the server of CURVE, the other its client`);
    }
    return greeted === null ? this.#hello(command.data) : this.#initiate(command.data, greeted);
  }

  #hello(data: Uint8Array): MechanismStep {
    const { keys, secretbox } = this.#parts;
    const { publicKey, count, box } = parseHello(data);
    const clientShortTerm = copyOf(publicKey);
    const key = sharedKey(keys.secretKey, clientShortTerm);
    const refusal = "HELLO was sealed for another server; check the serverKey of the client";
    openOrRefuse(secretbox, box, nonce("CurveZMQHELLO---", count), key, refusal);
    const shortTerm = newKeyPair();
    const cookie = randomBytes(COOKIE_BYTES);
    this.#greeted = { clientShortTerm, shortTerm, cookie };
    const random = longNonce();
    const content = encodeWelcomeContent({ publicKey: shortTerm.publicKey, cookie });
    return { send: [encodeWelcome({ random, box: secretbox.seal(content, nonce("WELCOME-", random), key) })] };
  }

  #initiate(data: Uint8Array, { clientShortTerm, shortTerm, cookie: ours }: Greeted): MechanismStep {
    const { secretbox, authenticate } = this.#parts;
    const { cookie, count, box } = parseInitiate(data);
    if (!timingSafeEqual(cookie, ours)) {
      throw new TransportError("authentication", "INITIATE has another connection's cookie: it is replayed");
    }
    const key = sharedKey(shortTerm.secretKey, clientShortTerm);
    const refusal = "INITIATE was not sealed by the client that sent HELLO";
    const content = openOrRefuse(secretbox, box, nonce("CurveZMQINITIATE", count), key, refusal);
    const client = parseInitiateContent(content);
    this.#checkVouch(client, clientShortTerm, shortTerm);
    const metadata = parseMetadata(client.metadata);
    const received = copyOf(count);
    const accept = (): MechanismStep => this.#ready(key, received, metadata);
    if (authenticate === null) return accept();
    const publicKey = encodeZ85(client.publicKey);
    const identity = copyOf(metadata.get("identity") ?? EMPTY);
    return {
      send: [],
      pending: (address) =>
        decide(
          authenticate,
          { mechanism: "CURVE", address, publicKey, identity },
          `the client with the key ${publicKey}`,
          accept,
        ),
    };
  }

  /** Whether the short-term key, which sealed all of this, is that of the client whose permanent key is in it. */
  #checkVouch(client: InitiateContent, clientShortTerm: Uint8Array, shortTerm: KeyPair): void {
    const { keys, secretbox } = this.#parts;
    const refusal = "INITIATE's vouch was not sealed by the owner of the key that it shows";
    const key = sharedKey(shortTerm.secretKey, client.publicKey);
    const vouch = openOrRefuse(secretbox, client.vouchBox, nonce("VOUCH---", client.vouchRandom), key, refusal);
    if (Buffer.concat([clientShortTerm, keys.publicKey]).compare(vouch) === 0) return;
    throw new TransportError("authentication", "INITIATE's vouch is for another connection or another server");
  }

  #ready(key: Uint8Array, received: Uint8Array, metadata: Metadata): MechanismStep {
    const { secretbox } = this.#parts;
    const count = shortNonce(READY_COUNT);
    const box = secretbox.seal(this.#metadata, nonce("CurveZMQREADY---", count), key);
    const codec = new CurveCodec({ secretbox, key, asServer: true, sent: READY_COUNT, received });
    return { send: [encodeReady({ count, box })], done: { metadata, codec } };
  }
}
