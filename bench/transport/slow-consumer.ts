/** Memory of a subscriber that reads nothing while a publisher floods it. Usage: slow-consumer ENDPOINT SECONDS. */
import { setTimeout as wait } from "node:timers/promises";
import { zmtp } from "../../transports/zmtp/index.ts";

const [endpoint, secondsText] = process.argv.slice(2) as [string, string];
const before = process.memoryUsage.rss();
let peak = before;
const subscriber = zmtp().subscriber();
subscriber.subscribe("");
subscriber.connect(endpoint);
for (let i = 0; i < Number(secondsText) * 20; i++) {
  await wait(50);
  peak = Math.max(peak, process.memoryUsage.rss());
}
process.stdout.write(`${JSON.stringify({ mebibytes: (peak - before) / 2 ** 20 })}\n`, () => process.exit(0));
