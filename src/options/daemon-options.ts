import type { KubernetesOptions } from "../discovery/kubernetes.ts";
import type { StaticEndpoint } from "../discovery/static.ts";
import type { SyncPrefixHashTableOptions } from "../indexer/table-options.ts";
import type { ReconcilerOptions } from "../reconciler/reconciler.ts";
import type { RoutingOptions } from "../routing/options.ts";
import type { WarmStartOptions } from "../snapshot/options.ts";
import type { StreamOptions } from "../sync/options.ts";
import type { TokenizerSettings } from "../tokenizer/settings.ts";

/** Which implementation of `Transport` is used. `auto` is `zmtp`. */
export type TransportName = "zmtp" | "libzmq" | "memory" | "websocket" | "auto";

/** What the daemon shows of itself to engines that ask for it; it is the client of both mechanisms. */
export type SecurityOptions =
  | { readonly mechanism: "PLAIN"; readonly username: string; readonly password: string }
  /** Keys in Z85. Without a secret key the daemon is a stranger, which a server may let in. */
  | { readonly mechanism: "CURVE"; readonly serverKey: string; readonly secretKey?: string };

/** What holds for every connection, whichever transport makes it; defaults of the transport. */
export interface ConnectionOptions {
  /** Largest message taken, all frames together; the memory transport takes any. */
  readonly maxMessageBytes?: number;
  /** First delay before a lost or refused connection is tried again; doubles up to `reconnectMaxMs`. */
  readonly reconnectMinMs?: number;
  readonly reconnectMaxMs?: number;
}

/** What the daemon runs with: everything is set and checked. */
export interface DaemonOptions {
  /** Whether engines are followed; else the HTTP API answers alone, of an empty index. */
  readonly enabled: boolean;
  /** What is odd and can be lived with, a sentence each. */
  readonly warnings: readonly string[];
  /** Asks engines whether they dropped their caches without a word; absent: they are not asked. */
  readonly reconcile?: ReconcilerOptions;
  /** How requests are routed; not for `/query`. */
  readonly routing: RoutingOptions;
  /** Where Envoy's external processing is answered, at the address of the API; absent: nowhere. */
  readonly extProcPort?: number;
  readonly transport: TransportName;
  /** Address and port of the HTTP API. */
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  readonly endpoints: readonly StaticEndpoint[];
  /** Of the connections to engines. None: neither authentication nor encryption. */
  readonly security?: SecurityOptions;
  /** Whose pods are followed; absent: no cluster's. */
  readonly kubernetes?: KubernetesOptions;
  readonly index: SyncPrefixHashTableOptions;
  readonly streams: StreamOptions;
  readonly connections: ConnectionOptions;
  /** What the start goes on from, and what is kept for the next. */
  readonly warmStart: WarmStartOptions;
  /** What makes tokens of prompts; absent: callers send tokens. */
  readonly tokenizer?: TokenizerSettings;
  /** Whether `GET /dump` answers. */
  readonly dumpEnabled: boolean;
}
