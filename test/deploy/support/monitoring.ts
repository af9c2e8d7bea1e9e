import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../support/tools.ts";
import { dashboardText } from "./dashboard.ts";
import { seriesTable } from "./series.ts";

/** What is made from the code, by its path from the root. */
export const MADE: Readonly<Record<string, (present: string) => string>> = {
  "deploy/monitoring/dashboard.json": dashboardText,
  "deploy/monitoring/README.md": (present) => {
    const [before, , after] = present.split(/^<!-- (?:made from the code: npm run build:monitoring|end) -->$/m);
    return `${before}${BEGIN}\n\n${seriesTable()}\n\n${END}${after}`;
  },
};

const BEGIN = "<!-- made from the code: npm run build:monitoring -->";
const END = "<!-- end -->";

export function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** Makes the dashboard and the table of all series anew. */
export function makeMonitoring(): void {
  for (const [path, make] of Object.entries(MADE)) {
    const present = path.endsWith(".md") ? read(path) : "";
    writeFileSync(join(root, path), make(present));
  }
}
