/** What all parts of one answer have in common. */
export interface AnswerHead {
  readonly id: string;
  readonly model: string;
  /** Seconds since the epoch. */
  readonly created: number;
  readonly kind: "chat" | "text";
}

/** `length` where the limit of the request ended it. */
export type FinishReason = "stop" | "length";

/** In tokens. */
export interface UsageCounts {
  readonly prompt: number;
  readonly cached: number;
  readonly output: number;
}

/** A whole answer, in OpenAI's form. */
export function wholeAnswer(head: AnswerHead, text: string, reason: FinishReason, usage: UsageCounts): object {
  const { id, model, created, kind } = head;
  const said = kind === "chat" ? { message: { role: "assistant", content: text } } : { text };
  const object = kind === "chat" ? "chat.completion" : "text_completion";
  const choices = [{ index: 0, ...said, logprobs: null, finish_reason: reason }];
  return { id, object, created, model, choices, usage: usageOf(usage) };
}

/** A part of an answer in a stream; the last one has the reason. */
export function chunk(head: AnswerHead, text: string, reason: FinishReason | null): object {
  const said = head.kind === "chat" ? { delta: text === "" ? {} : { content: text } } : { text };
  return chunkOf(head, [{ index: 0, ...said, logprobs: null, finish_reason: reason }]);
}

/** What begins the stream of a chat. */
export function roleChunk(head: AnswerHead): object {
  const delta = { role: "assistant", content: "" };
  return chunkOf(head, [{ index: 0, delta, logprobs: null, finish_reason: null }]);
}

/** What ends a stream that was asked for its usage. */
export function usageChunk(head: AnswerHead, usage: UsageCounts): object {
  return { ...chunkOf(head, []), usage: usageOf(usage) };
}

function chunkOf({ id, model, created, kind }: AnswerHead, choices: readonly object[]): object {
  return { id, object: kind === "chat" ? "chat.completion.chunk" : "text_completion", created, model, choices };
}

function usageOf({ prompt, cached, output }: UsageCounts): object {
  return {
    prompt_tokens: prompt,
    completion_tokens: output,
    total_tokens: prompt + output,
    prompt_tokens_details: { cached_tokens: cached },
  };
}
