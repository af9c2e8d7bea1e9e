/**
 * A contender of ours as a process of its own, so that the heap of one does not weigh on another. Usage: contender KIND
 * WORKLOAD with KIND of `CONTESTANTS`; prints an `Output` as a line of JSON.
 */
import { CONTESTANTS } from "./contestants.ts";
import { measure } from "./measures.ts";
import { readWorkload } from "./workload-file.ts";

const [kind, path] = process.argv.slice(2) as [keyof typeof CONTESTANTS, string];
const workload = readWorkload(path);
process.stdout.write(`${JSON.stringify(await measure(CONTESTANTS[kind](workload), workload))}\n`);
