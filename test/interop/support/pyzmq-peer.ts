import { PeerProcess } from "./peer-process.ts";

/** A socket of pyzmq, driven by a line of JSON for each step. Frames are Latin-1 text. */
const PEER = `
import json, os, sys, zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

config = json.loads(sys.argv[1])
context = zmq.Context()
authenticator = ThreadAuthenticator(context)
if "passwords" in config or "clients" in config:
    authenticator.start()
if "passwords" in config:
    authenticator.configure_plain(domain="*", passwords=config["passwords"])
if "clients" in config:
    class Known:
        def callback(self, domain, key):
            return key.decode() in config["clients"]
    authenticator.configure_curve_callback(domain="*", credentials_provider=Known())
socket = context.socket(getattr(zmq, config["type"]))
socket.linger = 0
for option, value in config["options"].items():
    setattr(socket, option, value.encode() if isinstance(value, str) else value)
monitor = socket.get_monitor_socket()
if "connect" in config:
    socket.connect(config["connect"])
    print(config["connect"], flush=True)
else:
    socket.bind(config.get("bind", "tcp://127.0.0.1:*"))
    print(socket.last_endpoint.decode(), flush=True)
for line in sys.stdin:
    step = json.loads(line)
    if step["do"] == "send":
        socket.send_multipart([frame.encode("latin-1") for frame in step["frames"]])
        print("null", flush=True)
    elif step["do"] == "receive":
        print(json.dumps([frame.decode("latin-1") for frame in socket.recv_multipart()]), flush=True)
    elif step["do"] == "pid":
        print(os.getpid(), flush=True)
    elif step["do"] == "event":
        event = None
        while event is None or event["event"] != getattr(zmq, step["name"]):
            event = recv_monitor_message(monitor)
        print(json.dumps(event["value"]), flush=True)
`;

export interface PeerConfig {
  readonly type: "PUB" | "XPUB" | "SUB" | "DEALER" | "ROUTER" | "REQ" | "REP";
  /** Socket options by their names in pyzmq. */
  readonly options: Readonly<Record<string, string | boolean | number>>;
  readonly connect?: string;
  /** Where it does not connect. @default "tcp://127.0.0.1:*" */
  readonly bind?: string;
  /** Of clients of PLAIN that are let in. */
  readonly passwords?: Readonly<Record<string, string>>;
  /** Keys of clients of CURVE that are let in; absent: all. */
  readonly clients?: readonly string[];
}

/** A socket of pyzmq, and so of libzmq, in a process of its own; disposing kills it. */
export class Peer implements AsyncDisposable {
  readonly #process: PeerProcess;
  readonly endpoint: string;

  private constructor(child: PeerProcess, endpoint: string) {
    this.#process = child;
    this.endpoint = endpoint;
  }

  static async start(python: string, config: PeerConfig): Promise<Peer> {
    const child = new PeerProcess("pyzmq", python, ["-c", PEER, JSON.stringify(config)]);
    return new Peer(child, await child.readLine());
  }

  /** Of the process, to stop it and to let it go on. */
  pid(): Promise<number> {
    return this.#do({ do: "pid" });
  }

  async send(...frames: readonly string[]): Promise<void> {
    await this.#do({ do: "send", frames });
  }

  receive(): Promise<readonly string[]> {
    return this.#do({ do: "receive" });
  }

  /** The value of the next such event of its monitor. */
  event(name: string): Promise<number> {
    return this.#do({ do: "event", name });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }

  async #do<T>(step: object): Promise<T> {
    this.#process.write(JSON.stringify(step));
    return JSON.parse(await this.#process.readLine()) as T;
  }
}
