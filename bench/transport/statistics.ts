/** The middle one, or between the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** So many digits after the point; `null` stays what it is. */
export function rounded<Value extends number | null>(value: Value, digits = 2): Value {
  return (value === null ? null : Number(value.toFixed(digits))) as Value;
}
