const MAX_CHARACTERS = 40;

/** A value as it may stand in an error message: quoted where it is text, cut where it is long. */
export function shorten(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "nil";
  if (typeof value === "string") return JSON.stringify(cut(value));
  if (value instanceof Uint8Array)
    return `${value.length} bytes 0x${cut(Buffer.from(value.subarray(0, 32)).toString("hex"))}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object") return `a map with keys ${cut(Object.keys(value).slice(0, 8).join(", "))}`;
  return cut(String(value));
}

function cut(text: string): string {
  return text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text;
}
