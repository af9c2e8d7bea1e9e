import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket as NetSocket } from "node:net";
import type { Transport } from "../../../src/transport.ts";
import { type WebSocketOptions, websocket } from "../../../transports/websocket/index.ts";

/** Comes back at once, so that a test waits for states and not for delays. */
export function quick(options: WebSocketOptions = {}): Promise<Transport> {
  return websocket({ reconnectMinMs: 5, reconnectMaxMs: 50, protocolRetryMs: 5, ...options });
}

/** The numbers of RFC 6455, 5.2. */
export const BINARY = 0x82;
export const TEXT = 0x81;
export const CLOSE = 0x88;
/** Compressed by `permessage-deflate` (RFC 7692). */
export const DEFLATED = 0xc2;

/** A WebSocket frame as the RFC writes it; a client's is masked, here with zeros. */
export function webSocketFrame(opcode: number, payload: Uint8Array, isMasked: boolean): Buffer {
  const header = Buffer.alloc(payload.length < 126 ? 2 : 10);
  header[0] = opcode;
  header[1] = (isMasked ? 0x80 : 0) | Math.min(payload.length < 126 ? payload.length : 127, 127);
  if (header.length === 10) header.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([header, isMasked ? Buffer.alloc(4) : Buffer.alloc(0), payload]);
}

/** A ZWS frame: a flag and a body. */
export function zws(flag: number, body: Uint8Array | string = ""): Buffer {
  return Buffer.concat([Uint8Array.of(flag), Buffer.from(body)]);
}

export interface UpgradeRequest {
  readonly path?: string;
  readonly protocol?: string;
  readonly key?: string;
}

/** The request that a client of ZWS 2.0 makes. */
export function upgradeRequest({
  path = "/",
  protocol = "ZWS2.0",
  key = "x3JJHMbDL1EzLkh9GBhXDw==",
}: UpgradeRequest = {}): string {
  return [
    `GET ${path} HTTP/1.1`,
    "Host: engine",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Key: ${key}`,
    `Sec-WebSocket-Protocol: ${protocol}`,
    "Sec-WebSocket-Version: 13",
    "\r\n",
  ].join("\r\n");
}

/** A server's answer to such a request. */
export function upgradeResponse(request: string, extensions: readonly string[] = []): string {
  const key = /^sec-websocket-key: (.*)$/im.exec(request)?.[1] ?? "";
  const accept = createHash("sha1").update(`${key.trim()}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${accept}`,
    "Sec-WebSocket-Protocol: ZWS2.0",
    ...extensions.map((extension) => `Sec-WebSocket-Extensions: ${extension}`),
    "\r\n",
  ].join("\r\n");
}

/** A bare TCP connection to a bound socket. */
export async function rawClient(endpoint: string): Promise<NetSocket> {
  const { port } = new URL(endpoint);
  const socket = connect({ host: "127.0.0.1", port: Number(port) });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** One that has been upgraded; what the server sends is dropped. */
export async function rawZwsClient(endpoint: string): Promise<NetSocket> {
  const socket = await rawClient(endpoint);
  socket.write(upgradeRequest());
  await once(socket, "data");
  socket.on("data", () => {});
  return socket;
}

/** Everything until the other side closes. */
export async function readToEnd(socket: NetSocket): Promise<string> {
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  if (!socket.closed) await once(socket, "close");
  return text;
}

/** A TCP server that does to each of its peers what the test says. */
export async function tcpServer(onPeer: (peer: NetSocket) => void): Promise<{ endpoint: string } & AsyncDisposable> {
  const peers = new Set<NetSocket>();
  const server = createServer((peer) => {
    peers.add(peer);
    peer.on("error", () => {});
    onPeer(peer);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const peer of peers) peer.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** A server that upgrades each of its peers and then does to it what the test says. */
export function zwsServer(
  afterwards: (peer: NetSocket) => void,
  extensions: readonly string[] = [],
): Promise<{ endpoint: string } & AsyncDisposable> {
  return tcpServer((peer) => {
    peer.once("data", (request: Buffer) => {
      peer.on("data", () => {});
      peer.write(upgradeResponse(request.toString("latin1"), extensions));
      afterwards(peer);
    });
  });
}
