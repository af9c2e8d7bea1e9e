import type { PodInfo, StreamInfo } from "../sync/status.ts";

/** Up to where a stream has to come. */
export interface PublishedRank {
  readonly pod: string;
  readonly rank: number;
  /** Of the batch that its engine publishes next. */
  readonly nextSequence: number;
}

/** The streams that are not where their engines are, a sentence each; empty when all is quiet. */
export function laggingStreams(published: readonly PublishedRank[], pods: readonly PodInfo[]): readonly string[] {
  const streams = pods.flatMap((pod) => pod.streams);
  return published.flatMap(({ pod, rank, nextSequence }) => {
    const stream = streams.find((each) => each.pod === pod && each.rank === rank);
    const problem = stream === undefined ? "has no stream" : problemOf(stream, nextSequence - 1);
    return problem === null ? [] : [`${pod} rank ${rank} ${problem}`];
  });
}

function problemOf({ status, lastSequence }: StreamInfo, wanted: number): string | null {
  if (status === "live" && (lastSequence ?? -1) === wanted) return null;
  const place = (sequence: number): string => (sequence < 0 ? "nothing" : `sequence ${sequence}`);
  return `is ${status} at ${place(lastSequence ?? -1)}, its engine at ${place(wanted)}`;
}
