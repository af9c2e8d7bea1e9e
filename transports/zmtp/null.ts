import { TransportError } from "../../src/errors.ts";
import { type Command, commandBody, parseMetadata } from "./commands.ts";
import type { Mechanism, MechanismStep } from "./mechanism.ts";
import { printable } from "./wire.ts";

/** NULL (RFC 23, section "The NULL Security Mechanism"): each side sends READY, in clear text, and that is all. */
export function nullMechanism(metadata: Uint8Array): Mechanism {
  return {
    name: "NULL",
    asServer: false,
    start: () => [commandBody("READY", metadata)],
    receive: (command: Command): MechanismStep => {
      if (command.name !== "READY") {
        throw new TransportError("protocol", `command "${printable(command.name)}" came instead of READY`);
      }
      return { send: [], done: { metadata: parseMetadata(command.data), codec: null } };
    },
  };
}
