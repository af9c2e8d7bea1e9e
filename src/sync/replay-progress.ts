/**
 * Why a replay is wanted. `start`: nothing is known. `verify`: the connection is new, and so may be the process behind
 * it. `fill`: batches are missing before those that came live. `check`: the stream is quiet, and its last batches may
 * have been lost. `rebuild`: the picture is partial, and the endpoint may by now reach further back.
 */
export type ReplayPurpose = "start" | "verify" | "fill" | "check" | "rebuild";

/** A replay that is wanted now. Another `id` is another replay, even for the same purpose. */
export interface ReplayRequest {
  readonly id: number;
  readonly purpose: ReplayPurpose;
}

/**
 * How a replay ended: with its end marker, by silence after some replies (the marker is lost easily, or the connection
 * was), or without any answer in all the time that it was given.
 */
export type ReplayEnd = "marker" | "silence" | "unanswered";

/** Replays in a row that bring a hole no nearer to its end, before it is taken for one that cannot be filled. */
const MAX_TRIES = 3;

/** The replay that is wanted, if any, and how far it has come. */
export class ReplayProgress {
  #request: ReplayRequest | null = null;
  #lastId = 0;
  #tries = 0;
  /** Whether the replay was answered at all. */
  isAnswered = false;
  /** Whether it showed that it is of the process that is known. */
  isIdentified = false;
  /** Whether it brought anything new. */
  hasAdvanced = false;
  /** Whether it, and those before it for the same purpose, reached what comes live. */
  hasMetLive = false;
  /** Whether the one before it, for the same purpose, began after the batch that it was asked to begin with. */
  wasUnidentified = false;
  /** Whether the one that ended last did what it was wanted for. */
  wasComplete = true;

  get request(): ReplayRequest | null {
    return this.#request;
  }

  /** Whether something waits for the replay. */
  get isCatchingUp(): boolean {
    const purpose = this.#request?.purpose;
    return purpose === "start" || purpose === "verify" || purpose === "fill";
  }

  isRunning(id: number): boolean {
    return this.#request?.id === id;
  }

  /** Wants a replay, instead of any other. */
  ask(purpose: ReplayPurpose): void {
    if (this.#request !== null) this.wasComplete = false;
    this.#tries = 0;
    this.wasUnidentified = false;
    this.hasMetLive = false;
    this.#renew(purpose);
  }

  /** Wants another one for the same purpose, since this one is over; `false` where that has been tried too often. */
  askAgain(): boolean {
    if (this.#request === null) return false;
    this.wasUnidentified = this.isAnswered && !this.isIdentified;
    this.wasComplete = false;
    this.#tries++;
    if (this.#tries >= MAX_TRIES) return false;
    this.#renew(this.#request.purpose);
    return true;
  }

  /** Something that was waited for has come. */
  advance(): void {
    this.hasAdvanced = true;
    this.#tries = 0;
  }

  /** The running replay goes on for another purpose. */
  turnInto(purpose: ReplayPurpose): void {
    if (this.#request !== null) this.#request = { ...this.#request, purpose };
  }

  finish(isComplete: boolean): void {
    this.#request = null;
    this.wasComplete = isComplete;
  }

  #renew(purpose: ReplayPurpose): void {
    this.isAnswered = false;
    this.isIdentified = false;
    this.hasAdvanced = false;
    this.#lastId++;
    this.#request = { id: this.#lastId, purpose };
  }
}
