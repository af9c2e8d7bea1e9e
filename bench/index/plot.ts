import type { Line } from "./report.ts";

const WIDTH = 800;
const LEFT = 230;
const BAR_WIDTH = 400;
const ROW = 24;
const TOP = 40;
const OURS = "#4e79a7";
const THEIRS = "#bab0ac";

/** Ingest and match of all contenders as bars, as SVG; both axes are logarithmic. */
export function plotOf(lines: readonly Line[]): string {
  const ingest = lines.map((line) => ({ line, value: line.ingest, text: `${(line.ingest / 1e6).toFixed(2)} M/s` }));
  const match = lines.flatMap((line) =>
    line.match512Us === null ? [] : [{ line, value: line.match512Us, text: `${line.match512Us.toFixed(0)} µs` }],
  );
  const second = TOP + ROW * ingest.length + 2 * ROW;
  const height = second + ROW * match.length + ROW;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13">`,
    "<title>What the indexers take in and how soon they answer</title>",
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    ...bars("Ingest, blocks a second: longer is better (logarithmic)", TOP, ingest),
    ...bars("Match of 512 blocks: shorter is better (logarithmic)", second, match),
    "</svg>",
  ].join("\n")}\n`;
}

interface Bar {
  readonly line: Line;
  readonly value: number;
  readonly text: string;
}

function bars(title: string, top: number, rows: readonly Bar[]): string[] {
  const values = rows.map(({ value }) => value);
  const least = Math.min(...values) / 2;
  const span = Math.log(Math.max(...values) / least);
  return [
    `<text x="16" y="${top - 12}" font-weight="bold">${title}</text>`,
    ...rows.flatMap(({ line, value, text }, at) => {
      const y = top + ROW * at;
      const width = (BAR_WIDTH * Math.log(value / least)) / span;
      const note = line.wrong === 0 ? line.given : `${line.given}; ${line.wrong} answers wrong`;
      const colour = line.name.startsWith("ours") ? OURS : THEIRS;
      return [
        `<text x="${LEFT - 8}" y="${y + 14}" text-anchor="end">${line.name}</text>`,
        `<rect x="${LEFT}" y="${y + 2}" width="${width.toFixed(1)}" height="${ROW - 8}" fill="${colour}"/>`,
        `<text x="${(LEFT + width + 8).toFixed(1)}" y="${y + 14}">${text} <tspan fill="#666" font-size="11">${note}</tspan></text>`,
      ];
    }),
  ];
}
