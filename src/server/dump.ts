import { HttpError } from "./http-error.ts";

/** Each may keep one stream's blocks in memory for as long as its reader takes. */
const MAX_DUMPS = 4;

/** A reader that stands still must not keep the others out for good. */
const LIMIT_MS = 300_000;

/** What dumps are made of. */
export interface DumpsParts {
  readonly lines: () => AsyncIterable<string>;
  /** Hears of dumps that could not be finished; their readers miss the last line. */
  readonly onError: (error: Error) => void;
  /** Time for a reader. Default five minutes. */
  readonly limitMs?: number;
}

/** The answers to `GET /dump`, so many at a time. */
export class Dumps {
  readonly #parts: DumpsParts;
  #running = 0;

  constructor(parts: DumpsParts) {
    this.#parts = parts;
  }

  /** Begins one, which goes on as it is read. Throws HttpError 503 where too many are under way. */
  open(): ReadableStream<Uint8Array> {
    if (this.#running === MAX_DUMPS) {
      throw new HttpError(503, `${MAX_DUMPS} dumps are under way; come back when one of them is done`);
    }
    this.#running++;
    return streamOf(this.#parts, () => {
      this.#running--;
    });
  }
}

/** `onEnd` is called once. */
function streamOf({ lines, onError, limitMs = LIMIT_MS }: DumpsParts, onEnd: () => void): ReadableStream<Uint8Array> {
  const iterator = lines()[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const end = (): void => {
    isOver = true;
    clearTimeout(timer);
    onEnd();
  };
  return new ReadableStream(
    {
      start(controller) {
        timer = setTimeout(() => {
          onError(new Error(`dump was not read in ${limitMs} ms`));
          controller.close();
          end();
          void iterator.return?.();
        }, limitMs);
        timer.unref();
      },
      async pull(controller) {
        const line = await iterator.next().then(
          ({ done, value }) => (done === true ? null : value),
          (error: Error) => {
            onError(error);
            return null;
          },
        );
        if (isOver) return;
        if (line !== null) return controller.enqueue(encoder.encode(line));
        controller.close();
        end();
      },
      async cancel() {
        end();
        await iterator.return?.();
      },
    },
    // Nothing is read before somebody wants it.
    { highWaterMark: 0 },
  );
}
