import { loadSodium } from "../../src/sodium.ts";
import type { CurveClientSecurity } from "../../transports/zmtp/index.ts";

/** Who seals and opens: ours in plain JavaScript, ours with libsodium, or npm `zeromq`. */
export type CurveKind = "curve" | "curve_sodium" | "curve_zeromq";

/** The option `secretbox` of ours. */
export async function secretboxOf(kind: string): Promise<Pick<CurveClientSecurity, "secretbox">> {
  const sodium = kind === "curve_sodium" ? await loadSodium() : null;
  return sodium === null ? {} : { secretbox: sodium };
}
