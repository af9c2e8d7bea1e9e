import { TransportError } from "../../src/errors.ts";

/** The package `zeromq`. */
export type Zeromq = typeof import("zeromq");
export type NativeContext = import("zeromq").Context;
export type NativeEvent = import("zeromq").Event;

/** What we use of every socket of the package. */
export type NativeSocket = Pick<
  import("zeromq").Socket,
  "bindSync" | "close" | "closed" | "connect" | "events" | "lastEndpoint" | "readable" | "writable"
>;

/** One that receives. */
export interface NativeReader extends NativeSocket {
  receiveTimeout: number;
  receive(): Promise<Buffer[]>;
}

/** One that sends. */
export interface NativeWriter extends NativeSocket {
  send(message: Buffer[]): Promise<void>;
}

/** Imports the package. Throws TransportError `missing-package`. */
export async function loadZeromq(load: () => Promise<Zeromq> = () => import("zeromq")): Promise<Zeromq> {
  try {
    return await load();
  } catch (error) {
    throw new TransportError("missing-package", whyMissing(error), { cause: error });
  }
}

function whyMissing(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") {
    return 'libzmq: the optional package "zeromq" is not installed; run npm install zeromq@6, or choose the transport zmtp';
  }
  // Which binary fits is found out at import, not at installation.
  const platform = `${process.platform}-${process.arch}, Node ${process.versions.node}`;
  return `libzmq: the package "zeromq" has no working binary for ${platform} (${message}); build one with npm rebuild zeromq, or choose the transport zmtp`;
}
