import type { MessageBatch, Receiver, SocketOptions, Transport } from "../../src/transport.ts";

/** The same transport, which takes a socket at its word: where memory may be used again, it is, with other content. */
export function forgetful(transport: Transport): Transport {
  const wrapped = <Socket extends Receiver>(socket: Socket, options?: SocketOptions): Socket => {
    const { receive } = socket;
    if (options?.reusesMemory === true) socket.receive = (...args) => overwritten(receive.apply(socket, args));
    return socket;
  };
  return {
    name: transport.name,
    capabilities: transport.capabilities,
    publisher: (options) => transport.publisher(options),
    router: (options) => wrapped(transport.router(options), options),
    subscriber: (options) => wrapped(transport.subscriber(options), options),
    dealer: (options) => wrapped(transport.dealer(options), options),
  };
}

async function* overwritten(batches: AsyncIterable<MessageBatch>): AsyncGenerator<MessageBatch> {
  for await (const { connectionId, messages } of batches) {
    // Copies: in memory the publisher's own may be the same.
    const copies = messages.map((message) => message.map((frame) => new Uint8Array(frame)));
    yield { connectionId, messages: copies };
    for (const frame of copies.flat()) frame.fill(0xa5);
  }
}
