/** Time from the moment at which a publisher listens again to the first message at its subscriber, in milliseconds. */
import type { Publisher } from "../../src/transport.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { median } from "./statistics.ts";

export async function measureRestart(rounds: number): Promise<number> {
  // Each round stands for an engine that ran for long: its loss starts the delays anew.
  const transport = zmtp({ stableAfterMs: 0 });
  const subscriber = transport.subscriber();
  subscriber.subscribe("");
  const batches = subscriber.receive()[Symbol.asyncIterator]();
  const times: number[] = [];
  let endpoint = "tcp://127.0.0.1:0";
  for (let i = 0; i <= rounds; i += 1) {
    let publisher!: Publisher;
    const subscribed = new Promise<void>((resolve) => {
      publisher = transport.publisher({ onSubscription: () => resolve() });
    });
    endpoint = await publisher.bind(endpoint);
    const started = performance.now();
    if (i === 0) subscriber.connect(endpoint);
    await subscribed;
    publisher.send([new Uint8Array(1)]);
    await batches.next();
    if (i > 0) times.push(performance.now() - started);
    await publisher.close();
  }
  await subscriber.close();
  return median(times);
}
