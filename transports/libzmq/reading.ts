import { setImmediate as turn } from "node:timers/promises";
import type { Link } from "./link.ts";
import type { NativeReader } from "./load.ts";

/** Most messages taken at a time, so that the many links of one socket take turns. */
const BATCH_MESSAGES = 256;

/** A message was seen to come one turn before its peer's handshake. */
const HANDSHAKE_TURNS = 8;

/** Once without anything new since the loop looked at all of its sockets. */
const QUIET_TURNS = 2;

/** Takes what a link receives. */
export interface Reader {
  /** Resolves when more may be taken. */
  room(): Promise<void>;
  take(link: Link, messages: Buffer[][]): void;
}

/** Reads a link until it is closed, many messages at a time: each await of the binding costs as much as a message. */
export async function readLink(link: Link<NativeReader>, reader: Reader): Promise<void> {
  const { native } = link;
  for (;;) {
    await reader.room();
    if (link.isClosed) return;
    link.isIdle = true;
    const first = await native.receive().catch(() => null);
    link.isIdle = false;
    if (first === null) return;
    // This may be of a peer whose handshake we have not heard of: that is told over another socket, and takes its time.
    for (let i = 0; i < HANDSHAKE_TURNS && link.readyPeers < link.peers; i += 1) await turn();
    const messages = [first, ...(await readMore(native))];
    reader.take(link, messages);
    if (messages.length >= BATCH_MESSAGES) await turn();
  }
}

/** Resolves when all was taken that the link had received until now, or when it is closed. */
export async function drained(link: Link, reader: Reader): Promise<void> {
  for (let quiet = 0; quiet < QUIET_TURNS && !link.isClosed; ) {
    await reader.room();
    await turn();
    quiet = link.isIdle ? quiet + 1 : 0;
  }
}

/** What can be had at once. */
function readMore(native: NativeReader): Promise<Buffer[][]> {
  const messages: Promise<Buffer[]>[] = [];
  if (native.closed) return Promise.all(messages);
  // Without a time-out the binding answers at once; with one it would hold every 512th message back for a turn.
  native.receiveTimeout = 0;
  while (messages.length < BATCH_MESSAGES - 1 && native.readable) messages.push(native.receive());
  native.receiveTimeout = -1;
  return Promise.all(messages);
}
