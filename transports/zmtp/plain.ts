import { TransportError } from "../../src/errors.ts";
import { type Authenticate, decide, type PlainRequest } from "./authentication.ts";
import { type Command, commandBody, parseMetadata } from "./commands.ts";
import type { Mechanism, MechanismFactory, MechanismStep } from "./mechanism.ts";
import { EMPTY, printable } from "./wire.ts";

/** A user's name and password have at most this many bytes each: one byte tells their length. */
export const MAX_CREDENTIAL_BYTES = 255;

/** PLAIN (RFC 24) as client: shows a name and a password, in clear text. */
export function plainClient(username: string, password: string): MechanismFactory {
  const hello = commandBody("HELLO", Buffer.concat([counted(username), counted(password)]));
  return (metadata) => new PlainClient(hello, metadata);
}

/** PLAIN (RFC 24) as server: lets in whom `authenticate` accepts. */
export function plainServer(authenticate: Authenticate<PlainRequest>): MechanismFactory {
  return (metadata) => new PlainServer(authenticate, metadata);
}

class PlainClient implements Mechanism {
  readonly name = "PLAIN";
  readonly asServer = false;
  readonly #hello: Uint8Array;
  readonly #metadata: Uint8Array;
  #expected: "WELCOME" | "READY" | null = null;

  constructor(hello: Uint8Array, metadata: Uint8Array) {
    this.#hello = hello;
    this.#metadata = metadata;
  }

  start(): readonly Uint8Array[] {
    this.#expected = "WELCOME";
    return [this.#hello];
  }

  receive(command: Command): MechanismStep {
    expect(command, this.#expected);
    if (this.#expected === "READY") return { send: [], done: { metadata: parseMetadata(command.data), codec: null } };
    if (command.data.length > 0) throw new TransportError("protocol", "WELCOME of PLAIN with data; check the peer");
    this.#expected = "READY";
    return { send: [commandBody("INITIATE", this.#metadata)] };
  }

  onSilentClose(): TransportError | null {
    if (this.#expected !== "WELCOME") return null;
    return new TransportError(
      "authentication",
      "the peer closed the connection at our HELLO; check the user name and the password",
    );
  }
}

class PlainServer implements Mechanism {
  readonly name = "PLAIN";
  readonly asServer = true;
  readonly #authenticate: Authenticate<PlainRequest>;
  readonly #metadata: Uint8Array;
  #expected: "HELLO" | "INITIATE" | null = "HELLO";

  constructor(authenticate: Authenticate<PlainRequest>, metadata: Uint8Array) {
    this.#authenticate = authenticate;
    this.#metadata = metadata;
  }

  start(): readonly Uint8Array[] {
    return [];
  }

  receive(command: Command): MechanismStep {
    expect(command, this.#expected);
    if (this.#expected === "INITIATE") {
      const metadata = parseMetadata(command.data);
      return { send: [commandBody("READY", this.#metadata)], done: { metadata, codec: null } };
    }
    this.#expected = null;
    const credentials = parseHello(command.data);
    const welcome = (): MechanismStep => {
      this.#expected = "INITIATE";
      return { send: [commandBody("WELCOME", EMPTY)] };
    };
    return {
      send: [],
      pending: (address) =>
        decide(this.#authenticate, { mechanism: "PLAIN", address, ...credentials }, "the client", welcome),
    };
  }
}

function counted(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

function parseHello(data: Uint8Array): { readonly username: string; readonly password: string } {
  const passwordAt = 1 + (data[0] ?? 0);
  const end = passwordAt + 1 + (data[passwordAt] ?? 0);
  if (data.length !== end) throw new TransportError("protocol", "malformed HELLO of PLAIN; check the peer");
  const text = Buffer.from(data.buffer, data.byteOffset, data.length);
  return { username: text.toString("utf8", 1, passwordAt), password: text.toString("utf8", passwordAt + 1, end) };
}

function expect(command: Command, name: string | null): void {
  if (command.name === name) return;
  const what = `command "${printable(command.name)}" came instead of ${name}`;
  throw new TransportError("protocol", `${what}; one side has to be the server of PLAIN, the other its client`);
}
