import { once } from "node:events";
import { type AddressInfo, createServer, type Socket as NetSocket, type Server } from "node:net";
import type { Transport } from "../../../src/transport.ts";
import { type LibzmqOptions, libzmq } from "../../../transports/libzmq/index.ts";

/** Comes back at once, so that a test waits for states and not for delays. */
export function quick(options: LibzmqOptions = {}): Promise<Transport> {
  return libzmq({ reconnectMinMs: 5, reconnectMaxMs: 50, protocolRetryMs: 5, ...options });
}

/** A TCP server that does to each of its peers what the test says. */
export async function tcpServer(onPeer: (peer: NetSocket) => void): Promise<{ endpoint: string } & AsyncDisposable> {
  const peers = new Set<NetSocket>();
  const server: Server = createServer((peer) => {
    peers.add(peer);
    peer.on("error", () => {});
    onPeer(peer);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const peer of peers) peer.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
