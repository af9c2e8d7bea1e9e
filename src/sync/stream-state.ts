import type { Pod } from "../discovery/discovery.ts";
import type { BlockSource } from "../indexer/indexer.ts";

/** How far a stream has come, and by what its engine is known again. */
export interface StreamMark {
  /** As `StreamInfo.firstSequence`. */
  readonly firstSequence: number;
  /** Of the last batch applied: a replay that begins with it goes on from here. */
  readonly lastSequence: number;
  /** `fingerprint` of that batch's payload. */
  readonly fingerprint: number;
}

/** What makes a pod the one that it was: with another of these, what is known of it means nothing. */
export type PodIdentity = Pick<Pod, "key" | "modelName" | "uid" | "restartCount" | "loraId" | "topic">;

/** What a stream can go on from, beside the blocks in the index. */
export interface StreamState extends StreamMark {
  readonly pod: PodIdentity;
  /** Of its endpoint. */
  readonly rank: number;
  /** Whose blocks it has told of: its own rank's, and those for which its endpoint speaks. */
  readonly sources: readonly BlockSource[];
}

/** Whether what was known of the pod before is of the same processes, as far as discovery can tell. */
export function isSamePod(before: PodIdentity, after: PodIdentity): boolean {
  return (
    before.uid === after.uid &&
    before.restartCount === after.restartCount &&
    before.loraId === after.loraId &&
    before.topic === after.topic
  );
}
