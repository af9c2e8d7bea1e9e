import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { zmtp } from "../../../transports/zmtp/index.ts";
import { RawServer, rawConnect, States, turn } from "./support.ts";

/** What Linux has in store for the TCP connection between two ports of this machine: "02" is a keep-alive probe, "00" nothing. */
async function tcpTimer(localPort: number, remotePort: number): Promise<string | undefined> {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, "0");
  const rows = (
    await Promise.all(["tcp", "tcp6"].map((table) => readFile(`/proc/net/${table}`, "latin1").catch(() => "")))
  )
    .join("\n")
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const row = rows.find(
    ([, local, remote]) => local?.endsWith(`:${hex(localPort)}`) && remote?.endsWith(`:${hex(remotePort)}`),
  );
  const timer = row?.[5]?.slice(0, 2);
  // Bytes are under way that the other side has not acknowledged.
  if (timer !== "01") return timer;
  await turn();
  return tcpTimer(localPort, remotePort);
}

const isLinux = process.platform === "linux";
test("TCP keep-alive is on, whoever dialled", { skip: isLinux ? false : "only Linux shows it" }, async () => {
  await using server = await RawServer.start();
  const states = new States();
  await using sub = zmtp().subscriber({ onConnection: states.listener });
  sub.connect(server.endpoint);
  const dialled = await server.accept();
  await dialled.shake("PUB");
  await states.next("ready");
  assert.equal(await tcpTimer(dialled.socket.remotePort!, server.port), "02");
  await using bound = zmtp().subscriber();
  const endpoint = await bound.bind("tcp://127.0.0.1:0");
  const stranger = await rawConnect(endpoint);
  await stranger.shake("PUB");
  const { localPort, remotePort } = stranger.socket;
  assert.equal(await tcpTimer(remotePort!, localPort!), "02");
  // The other side, which asked for none, has none: it is not the machine's default.
  assert.equal(await tcpTimer(localPort!, remotePort!), "00");
});
