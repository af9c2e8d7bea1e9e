import type { Target } from "../target.ts";
import { curveTargets } from "./curve.ts";
import { eventTargets } from "./events.ts";
import { handshakeTargets } from "./handshake.ts";
import { messageTargets } from "./messages.ts";
import { socketTargets } from "./sockets.ts";

/** All that is fuzzed. */
export const targets: readonly Target[] = [
  ...handshakeTargets,
  ...messageTargets,
  ...curveTargets,
  ...socketTargets,
  ...eventTargets,
];
