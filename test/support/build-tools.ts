// `npm run build:tools [-- NAME…]`: builds what tests of the chart, and of a real API server, need. That takes minutes
// the first time.
import { buildTool, HELM, KUBE_APISERVER } from "./tools.ts";

const wanted = process.argv.slice(2);
for (const tool of [HELM, KUBE_APISERVER]) {
  if (wanted.length > 0 && !wanted.includes(tool.name)) continue;
  console.log(`${tool.name} ${tool.version} …`);
  console.log(buildTool(tool));
}
