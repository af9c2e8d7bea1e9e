/** How much was read or written. */
export interface SnapshotSize {
  readonly streams: number;
  readonly blocks: number;
}

/** Hears of warm starts and snapshots. Every method is optional, is called synchronously and must not throw. */
export interface SnapshotObserver {
  /** `origin` is a file's path or a peer's URL. */
  onRestored?(origin: string, size: SnapshotSize, durationSeconds: number): void;
  /** What was there cannot be used; the next origin is tried, and else the start is a cold one. */
  onRefused?(origin: string, error: Error): void;
  onWritten?(path: string, size: SnapshotSize & { readonly bytes: number }, durationSeconds: number): void;
  /** The snapshot before it is still there. */
  onWriteFailed?(path: string, error: Error): void;
}

/** One observer that passes everything on to all of these, in order. */
export function observeAllSnapshots(observers: readonly SnapshotObserver[]): SnapshotObserver {
  return {
    onRestored: (origin, size, durationSeconds) => {
      for (const each of observers) each.onRestored?.(origin, size, durationSeconds);
    },
    onRefused: (origin, error) => {
      for (const each of observers) each.onRefused?.(origin, error);
    },
    onWritten: (path, size, durationSeconds) => {
      for (const each of observers) each.onWritten?.(path, size, durationSeconds);
    },
    onWriteFailed: (path, error) => {
      for (const each of observers) each.onWriteFailed?.(path, error);
    },
  };
}
