/** Server-sent events, one after the other. */
export interface EventStream {
  readonly body: ReadableStream<Uint8Array>;
  /** What comes after the end, or after the reader went, is dropped. */
  send(data: object | "[DONE]"): void;
  close(): void;
  /** Breaks the connection off. */
  fail(error: unknown): void;
}

/** `onGone` hears when the reader goes before the end. */
export function eventStream(onGone: () => void): EventStream {
  const encoder = new TextEncoder();
  let controller: ReadableStreamDefaultController<Uint8Array>;
  let isOpen = true;
  const body = new ReadableStream<Uint8Array>({
    start: (started) => {
      controller = started;
    },
    cancel: () => {
      isOpen = false;
      onGone();
    },
  });
  const end = (finish: () => void): void => {
    if (isOpen) finish();
    isOpen = false;
  };
  return {
    body,
    send: (data) => {
      if (!isOpen) return;
      controller.enqueue(encoder.encode(`data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`));
    },
    close: () => end(() => controller.close()),
    fail: (error) => end(() => controller.error(error)),
  };
}
