import { memory } from "../../transports/memory/index.ts";
import { generateCurveKeys, zmtp } from "../../transports/zmtp/index.ts";
import { transportConformance } from "../conformance/transport.ts";

const RECONNECT = { reconnectMinMs: 5, reconnectMaxMs: 50 };
const { publicKey: serverKey, secretKey } = generateCurveKeys();

transportConformance("memory", () => memory({ reconnectMinMs: 1, reconnectMaxMs: 20 }), {
  endpoint: () => "inproc://*",
});

transportConformance("zmtp", () => zmtp(RECONNECT));

transportConformance("zmtp over PLAIN", () => ({
  server: zmtp({ ...RECONNECT, security: { mechanism: "PLAIN", role: "server", authenticate: async () => true } }),
  client: zmtp({ ...RECONNECT, security: { mechanism: "PLAIN", role: "client", username: "me", password: "open" } }),
}));

transportConformance("zmtp over CURVE", () => ({
  server: zmtp({ ...RECONNECT, security: { mechanism: "CURVE", role: "server", secretKey } }),
  client: zmtp({ ...RECONNECT, security: { mechanism: "CURVE", role: "client", serverKey } }),
}));
