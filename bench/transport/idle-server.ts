/**
 * A publisher that says nothing, for connections to idle at. Prints its endpoint, and for each line on standard input the
 * bytes of memory that it holds. Needs --expose-gc.
 */
import { createInterface } from "node:readline";
import { zmtp } from "../../transports/zmtp/index.ts";
import { memory } from "./memory.ts";

process.stdout.write(`${await zmtp().publisher().bind("tcp://127.0.0.1:*")}\n`);
for await (const _line of createInterface({ input: process.stdin })) process.stdout.write(`${memory().held}\n`);
