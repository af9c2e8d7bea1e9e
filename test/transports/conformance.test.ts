import { memory } from "../../transports/memory/index.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { transportConformance } from "../conformance/transport.ts";

transportConformance("memory", () => memory({ reconnectMinMs: 1, reconnectMaxMs: 20 }), {
  endpoint: () => "inproc://*",
});

transportConformance("zmtp", () => zmtp({ reconnectMinMs: 5, reconnectMaxMs: 50 }));
