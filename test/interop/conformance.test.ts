import type { Transport } from "../../src/transport.ts";
import { libzmq } from "../../transports/libzmq/index.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { transportConformance } from "../conformance/transport.ts";

// The suite that each transport passes alone, between ours and ZeroMQ's own library.
const RECONNECT = { reconnectMinMs: 5, reconnectMaxMs: 50 };
const ours = (): Transport => zmtp(RECONNECT);

transportConformance("libzmq binds, zmtp connects", async () => ({ server: await libzmq(RECONNECT), client: ours() }));

transportConformance("zmtp binds, libzmq connects", async () => ({ server: ours(), client: await libzmq(RECONNECT) }));
