import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PeerProcess } from "../support/peer-process.ts";
import { until } from "../support/until.ts";
import { type Access, ApiClient } from "./api-client.ts";

const HOST = "127.0.0.1";
const ATTEMPTS = 3;

interface Parts {
  readonly access: Access;
  readonly folder: string;
  readonly etcd: PeerProcess;
  readonly server: PeerProcess;
  readonly startServer: () => PeerProcess;
}

/** A real API server with RBAC and its etcd, on free ports. There is no controller, scheduler or kubelet. */
export class KubeApiServer implements AsyncDisposable {
  /** A member of `system:masters`, to whom all is allowed. */
  readonly admin: ApiClient;
  readonly #parts: Parts;
  #server: PeerProcess;

  private constructor(parts: Parts) {
    this.admin = new ApiClient(parts.access);
    this.#parts = parts;
    this.#server = parts.server;
  }

  /** Resolves once the server says that it is ready. */
  static async start(apiserver: string, etcd: string): Promise<KubeApiServer> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await KubeApiServer.#attempt(apiserver, etcd);
      } catch (error) {
        // A port can be taken in between.
        if (attempt === ATTEMPTS) throw error;
      }
    }
  }

  static async #attempt(apiserver: string, etcdProgram: string): Promise<KubeApiServer> {
    const folder = mkdtempSync(join(tmpdir(), "kube-apiserver-"));
    const token = writeCredentials(folder);
    const [client, peer, port] = await freePorts(3);
    const etcd = new PeerProcess("etcd", etcdProgram, etcdFlags(folder, client!, peer!));
    const startServer = () => new PeerProcess("kube-apiserver", apiserver, serverFlags(folder, client!, port!));
    const server = startServer();
    try {
      await server.logged(/Serving securely on/);
      // It makes its certificate itself: the file has the authority behind it as well.
      const authority = readFileSync(join(folder, "apiserver.crt"), "utf8");
      const access = { url: `https://${HOST}:${port}`, token, authority };
      const started = new KubeApiServer({ access, folder, etcd, server, startServer });
      await started.#ready();
      return started;
    } catch (error) {
      await end([server, etcd], folder);
      throw error;
    }
  }

  get access(): Access {
    return this.#parts.access;
  }

  /** A file that kubectl, helm and clients read: access as that user, the admin unless said. Gone with the server. */
  kubeconfig(token: string = this.access.token): string {
    const { url: server, authority } = this.access;
    const data = Buffer.from(authority).toString("base64");
    const config = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "test", cluster: { server, "certificate-authority-data": data } }],
      users: [{ name: "user", user: { token } }],
      contexts: [{ name: "test", context: { cluster: "test", user: "user" } }],
      "current-context": "test",
    };
    const path = join(this.#parts.folder, `kubeconfig-${randomUUID()}`);
    writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
    return path;
  }

  /** Kills the server, and starts it again where it was: connections are reset, and it has forgotten old versions. */
  async restart(): Promise<void> {
    await this.#server.end("SIGKILL");
    this.#server = this.#parts.startServer();
    await this.#server.logged(/Serving securely on/);
    await this.#ready();
  }

  async #ready(): Promise<void> {
    const ask = async (): Promise<number> => (await this.admin.get("/readyz")).status;
    await until("the API server is ready", ask, (status) => status === 200);
  }

  /** A token of that account, as the kubelet mounts one. */
  async tokenOf(namespace: string, account: string): Promise<string> {
    const { status, body } = await this.admin.post(
      `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
      {},
    );
    if (status !== 201) throw new Error(`token of ${namespace}/${account}: ${body.message}`);
    return body.status.token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end([this.#server, this.#parts.etcd], this.#parts.folder);
  }
}

async function end(processes: readonly PeerProcess[], folder: string): Promise<void> {
  // The server first: without its etcd it would take a minute to go.
  for (const each of processes) await each.end("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}

/** Writes the key that signs tokens, and who may do all with which token. Returns that token. */
function writeCredentials(folder: string): string {
  chmodSync(folder, 0o700);
  const { privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2_048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  writeFileSync(join(folder, "accounts.key"), privateKey, { mode: 0o600 });
  const token = randomBytes(16).toString("hex");
  writeFileSync(join(folder, "tokens.csv"), `${token},admin,admin,system:masters\n`, { mode: 0o600 });
  return token;
}

function etcdFlags(folder: string, client: number, peer: number): readonly string[] {
  const [clients, peers] = [`http://${HOST}:${client}`, `http://${HOST}:${peer}`];
  const listen = ["--listen-client-urls", clients, "--advertise-client-urls", clients, "--listen-peer-urls", peers];
  const cluster = ["--initial-advertise-peer-urls", peers, "--initial-cluster", `default=${peers}`];
  return ["--data-dir", join(folder, "etcd"), ...listen, ...cluster];
}

function serverFlags(folder: string, etcd: number, port: number): readonly string[] {
  const key = join(folder, "accounts.key");
  return [
    `--etcd-servers=http://${HOST}:${etcd}`,
    `--bind-address=${HOST}`,
    `--secure-port=${port}`,
    `--cert-dir=${folder}`,
    `--token-auth-file=${join(folder, "tokens.csv")}`,
    "--authorization-mode=RBAC",
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${key}`,
    `--service-account-signing-key-file=${key}`,
    "--service-cluster-ip-range=10.0.0.0/24",
    // Nobody makes a namespace's default account, and nobody else is there to be found.
    "--disable-admission-plugins=ServiceAccount",
    "--endpoint-reconciler-type=none",
  ];
}

/** Ports that were free just now; neither program can be told to take any. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, HOST));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
