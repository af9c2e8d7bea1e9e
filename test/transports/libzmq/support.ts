import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket as NetSocket, type Server } from "node:net";
import { fileURLToPath } from "node:url";
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

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Runs a module in a process of its own, from the root of the repository, until it ends by itself. */
export async function runModule(source: string, args: readonly string[] = []): Promise<Finished> {
  const child = spawn(process.execPath, ["--import", "tsx", ...args, "--input-type=module", "--eval", source], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}
