import { libzmq } from "../../../transports/libzmq/index.ts";
import { transportConformance } from "../../conformance/transport.ts";

transportConformance("libzmq", () => libzmq({ reconnectMinMs: 5, reconnectMaxMs: 50 }));
