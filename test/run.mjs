// Runs every test file below test/, or those whose path contains one of the arguments. Node 20 does not expand globs.
// Interop tests need other languages, those of the chart need Helm: `npm test` leaves them to `npm run test:interop` and
// `npm run test:deploy`; a real kube-apiserver takes minutes to build, and is left to `npm run test:kube-apiserver`.
// Whoever counts the results names a file in TEST_TAP.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const wanted = process.argv.slice(2);
const SLOW = "/kube-apiserver/";
const needsMore = (file) => file.startsWith("test/interop/") || file.startsWith("test/deploy/");
const files = readdirSync(join(root, "test"), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
  .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"))
  .filter((file) => !file.includes(SLOW) || wanted.some((part) => part.includes(SLOW)))
  .filter((file) => (wanted.length > 0 ? wanted.some((part) => file.includes(part)) : !needsMore(file)))
  .sort();
if (files.length === 0) {
  console.error(`no test file matches ${wanted.join(", ")}`);
  process.exit(1);
}
const { TEST_TAP } = process.env;
const reporters = TEST_TAP ? ["spec", "stdout", "tap", TEST_TAP] : [];
// On two processors Node would take one file after the other, most of which wait for sockets.
const concurrency = Math.max(2, availableParallelism() - 1);
const args = [
  ...["--import", "tsx", "--test", "--test-timeout=300000", `--test-concurrency=${concurrency}`],
  ...reporters.map((value, i) => `--test-reporter${i % 2 === 0 ? "" : "-destination"}=${value}`),
  ...files,
];
const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
