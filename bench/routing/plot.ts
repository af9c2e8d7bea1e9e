import type { FleetResult } from "./fleet.ts";

const WIDTH = 800;
const HEIGHT = 420;
const LEFT = 64;
const RIGHT = 250;
const TOP = 34;
const BOTTOM = 52;
const COLOURS = ["#7f8c8d", "#b07aa1", "#f28e2b", "#4e79a7", "#e15759", "#59a14f", "#9c755f"];

/** Share of requests that have their first token within a time, one curve a strategy, as SVG; time is logarithmic. */
export function plotOf(rows: readonly { readonly name: string; readonly result: FleetResult }[]): string {
  const longestMs = Math.max(...rows.map(({ result }) => result.ttftMs.at(-1) ?? 1));
  const shortestMs = 10;
  const span = Math.log10(longestMs / shortestMs);
  const x = (ms: number): number =>
    LEFT + (Math.max(0, Math.log10(Math.max(ms, shortestMs) / shortestMs)) / span) * (WIDTH - LEFT - RIGHT);
  const y = (share: number): number => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13">`,
    "<title>Requests with their first token within a time, by routing strategy</title>",
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${LEFT}" y="20" font-weight="bold">Requests with their first token within this time</text>`,
  ];
  for (const share of [0, 0.25, 0.5, 0.75, 0.9, 1]) {
    parts.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(share)}" y2="${y(share)}" stroke="#ddd"/>`,
      `<text x="${LEFT - 8}" y="${y(share) + 4}" text-anchor="end">${Math.round(100 * share)} %</text>`,
    );
  }
  for (let ms = shortestMs; ms <= longestMs; ms *= 10) {
    const label = ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`;
    parts.push(
      `<line x1="${x(ms)}" x2="${x(ms)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="#ddd"/>`,
      `<text x="${x(ms)}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle">${label}</text>`,
    );
  }
  for (const [at, { name, result }] of rows.entries()) {
    const colour = COLOURS[at % COLOURS.length]!;
    const points = Array.from({ length: 201 }, (_, i) => {
      const share = i / 200;
      const ms = result.ttftMs[Math.min(result.ttftMs.length - 1, Math.floor(share * result.ttftMs.length))]!;
      return `${x(ms).toFixed(1)},${y(share).toFixed(1)}`;
    });
    const dash = name.endsWith("oracle") ? ' stroke-dasharray="5 4"' : "";
    const labelY = TOP + 14 + 22 * at;
    parts.push(
      `<polyline points="${points.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"${dash}/>`,
      `<line x1="${WIDTH - RIGHT + 14}" x2="${WIDTH - RIGHT + 38}" y1="${labelY - 4}" y2="${labelY - 4}" stroke="${colour}" stroke-width="3"${dash}/>`,
      `<text x="${WIDTH - RIGHT + 44}" y="${labelY}">${name}: ${(100 * result.hitRate).toFixed(1)} % cached</text>`,
    );
  }
  return `${[...parts, "</svg>"].join("\n")}\n`;
}
