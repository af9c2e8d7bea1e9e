import type { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import { TransportError } from "../../src/errors.ts";

/** What jszmq's own `ws` offers, as far as we use it. */
export interface WebSocket extends EventEmitter {
  readonly bufferedAmount: number;
  onclose: ((event: unknown) => void) | null | undefined;
  onmessage: ((event: unknown) => void) | null | undefined;
  close(code?: number): void;
  /** Ends it at once, in any state. */
  terminate(): void;
}

/** One end of a connection: turns messages into WebSocket messages, one for each frame, and back (ZWS 2.0). */
export interface ZwsEndpoint extends EventEmitter {
  readonly socket: WebSocket;
  onMessage(event: { readonly data: ArrayBuffer }): void;
  send(frames: readonly Buffer[]): boolean;
}

/** Turns upgraded HTTP requests into endpoints, which it gives by the event `attach`. */
export interface ZwsListener extends EventEmitter {
  readonly server: { readonly options: { maxPayload: number; handleProtocols: (() => string) | null } };
  close(): void;
}

export interface ZwsOptions {
  readonly immediate: boolean;
  readonly recvRoutingId: boolean;
  readonly routingId: string;
}

/** The two classes of the package that we use. */
export interface Jszmq {
  readonly Endpoint: new (address: string, options: ZwsOptions) => ZwsEndpoint;
  readonly Listener: new (address: string, upgrades: EventEmitter, options: ZwsOptions) => ZwsListener;
}

/** The name of the protocol in the upgrade. */
export const ZWS = "ZWS2.0";

/** An endpoint tells when it is open, and gives the peer's identity as its first message. */
export const ZWS_OPTIONS: ZwsOptions = { immediate: true, recvRoutingId: true, routingId: "" };

/** Whether a request is an upgrade to what we speak. */
export function asksForZws({ headers }: IncomingMessage): boolean {
  return (headers["sec-websocket-protocol"] ?? "").split(",").some((name) => name.trim() === ZWS);
}

/**
 * Imports the package. Its sockets are passed over for the two classes below them, which alone can be guarded: a peer's
 * bad luck, or ill will, ends the process of whoever uses the sockets. Throws TransportError `missing-package`.
 */
export async function loadJszmq(
  load: () => Promise<readonly [unknown, unknown]> = () =>
    Promise.all([import("jszmq/lib/src/webSocketEndpoint.js"), import("jszmq/lib/src/webSocketListener.js")]),
): Promise<Jszmq> {
  try {
    const [endpoint, listener] = await load();
    return { Endpoint: classOf(endpoint), Listener: classOf(listener) } as Jszmq;
  } catch (error) {
    const text =
      'websocket: the optional package "jszmq" is not installed, or not as version 0.1; run npm install jszmq@0.1.2';
    throw new TransportError("missing-package", text, { cause: error });
  }
}

/** The class that a CommonJS module of TypeScript exports by default, however it came to be an ES module. */
function classOf(module: unknown): unknown {
  const exported = (module as { default?: unknown }).default;
  const nested = (exported as { default?: unknown } | undefined)?.default ?? exported;
  if (typeof nested !== "function") throw new Error("the module has no class by default");
  return nested;
}
