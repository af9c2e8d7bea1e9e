import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { FaultProxy, type ProxyFault } from "./fault-proxy.ts";

/** A server that sends back what it gets, behind a proxy. */
async function echo(use: (proxy: FaultProxy, socket: Socket) => Promise<void>): Promise<void> {
  const server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    await using proxy = await FaultProxy.open(port);
    const socket = connect(proxy.port, "127.0.0.1");
    await once(socket, "connect");
    await use(proxy, socket);
    socket.destroy();
  } finally {
    server.close();
  }
}

async function received(socket: Socket, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of socket.iterator({ destroyOnReturn: false })) {
    parts.push(part);
    length += part.length;
    if (length >= bytes) break;
  }
  return Buffer.concat(parts);
}

const SENT = Buffer.from(Array.from({ length: 20_000 }, (_, i) => i % 251));

for (const fault of ["delay", "split", "throttle"] satisfies ProxyFault[]) {
  test(`${fault} lets every byte through, in order`, { timeout: 20_000 }, () =>
    echo(async (proxy, socket) => {
      proxy.disturb(fault, 100);
      socket.write(SENT);
      assert.deepEqual(await received(socket, SENT.length), SENT);
    }),
  );
}

for (const fault of ["cut", "down"] satisfies ProxyFault[]) {
  test(`${fault} breaks the connection`, { timeout: 20_000 }, () =>
    echo(async (proxy, socket) => {
      proxy.disturb(fault, 100);
      await once(socket, "close");
    }),
  );
}

test("half-open takes everything and passes nothing, until it cuts", { timeout: 20_000 }, () =>
  echo(async (proxy, socket) => {
    proxy.disturb("half-open", 100);
    let bytes = 0;
    socket.on("data", (part: Buffer) => {
      bytes += part.length;
    });
    socket.write(SENT);
    await once(socket, "close");
    assert.equal(bytes, 0);
  }),
);
