import { websocket } from "../../../transports/websocket/index.ts";
import { transportConformance } from "../../conformance/transport.ts";

transportConformance("websocket", () => websocket({ reconnectMinMs: 5, reconnectMaxMs: 50 }), {
  endpoint: () => "ws://127.0.0.1:0",
});
