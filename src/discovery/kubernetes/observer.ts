/** What a watch of pods has trouble with. */
export type WatchTrouble =
  /** The list of all pods could not be read; it is tried again. */
  | "list"
  /** The stream of changes could not be opened, or broke; it is opened again. */
  | "watch"
  /** Nothing came for too long: the connection is taken for dead. */
  | "idle"
  /** The API server no longer knows the version to go on from (410): all pods are listed anew. */
  | "expired"
  /** Who hears of pods threw, which it must not; the other pods are told of all the same. */
  | "listener";

/** Hears how the watch of pods fares. Must not throw and must not wait. */
export interface WatchObserver {
  /** All pods that the selector names were listed: so many. */
  onList?(pods: number): void;
  onTrouble?(trouble: WatchTrouble, error: Error): void;
}

/** One observer that passes everything on to all of these, in order. */
export function observeAllWatches(observers: readonly WatchObserver[]): WatchObserver {
  return {
    onList: (pods) => {
      for (const each of observers) each.onList?.(pods);
    },
    onTrouble: (trouble, error) => {
      for (const each of observers) each.onTrouble?.(trouble, error);
    },
  };
}
