import type { Transport } from "../../src/transport.ts";
import { libzmq } from "../../transports/libzmq/index.ts";
import { memory } from "../../transports/memory/index.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { forgetful } from "./forgetful-transport.ts";

const MAKERS: Readonly<Record<string, () => Transport | Promise<Transport>>> = {
  memory: () => memory({ reconnectMinMs: 1, reconnectMaxMs: 20 }),
  libzmq: () => libzmq({ reconnectMinMs: 5, reconnectMaxMs: 50 }),
  zmtp: () => zmtp({ reconnectMinMs: 5, reconnectMaxMs: 50 }),
};

/** What the whole pipeline's tests run on: `KV_TRANSPORT`, as the daemon. Default `zmtp`, over real TCP. */
export const pipelineTransportName: string = process.env["KV_TRANSPORT"] ?? "zmtp";

/** A new transport of that kind, which keeps nothing that its sockets let it forget. */
export async function pipelineTransport(): Promise<Transport> {
  const make = MAKERS[pipelineTransportName];
  if (make === undefined) {
    throw new Error(`KV_TRANSPORT is ${pipelineTransportName}: use one of ${Object.keys(MAKERS).join(", ")}`);
  }
  return forgetful(await make());
}
