import type { Transport } from "../../../src/transport.ts";
import { libzmq } from "../../../transports/libzmq/index.ts";
import { zmtp } from "../../../transports/zmtp/index.ts";
import { transportConformance } from "../../conformance/transport.ts";

/** Each of the two speaks the same protocol as the other, so they are interchangeable on either side. */
const RECONNECT = { reconnectMinMs: 5, reconnectMaxMs: 50 };

const ours = (): Transport => zmtp(RECONNECT);
const native = (): Promise<Transport> => libzmq(RECONNECT);

transportConformance("libzmq binds, zmtp connects", async () => ({ server: await native(), client: ours() }));

transportConformance("zmtp binds, libzmq connects", async () => ({ server: ours(), client: await native() }));
