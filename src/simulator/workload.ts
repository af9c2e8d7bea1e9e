import { ConfigurationError } from "../errors.ts";
import { type Random, randomInteger, seededRandom } from "./random.ts";

export interface WorkloadOptions {
  readonly seed?: number;
  /** Conversations under way at a time. Default 24. */
  readonly conversations?: number;
  /** System prompts that conversations share. Default 3. */
  readonly systemPrompts?: number;
  /** Tokens of a system prompt. Default 256: 16 blocks of 16. */
  readonly systemPromptTokens?: number;
  /** Most tokens that a user says in a turn. Default 96. */
  readonly turnTokens?: number;
  /** Most tokens that the engine answers. Default 160. */
  readonly answerTokens?: number;
  /** Most turns of a conversation, which is then replaced by a new one. Default 8. */
  readonly turns?: number;
  /** Token ids are below it. Default 1,000: small, so that they are easy to read. */
  readonly vocabularyTokens?: number;
}

/** One turn of a conversation: its whole prompt so far, and what the engine will answer. */
export interface WorkloadRequest {
  /** Counts conversations from 0; the same in all turns of one. */
  readonly conversation: number;
  /** From 0. */
  readonly turn: number;
  /** System prompt, earlier turns and answers, and what the user says now. */
  readonly tokens: Uint32Array;
  readonly outputTokens: Uint32Array;
}

interface Conversation {
  readonly number: number;
  readonly turns: number;
  turn: number;
  tokens: Uint32Array;
}

/**
 * Requests as chats make them: conversations of several turns that begin with one of a few system prompts, each turn
 * repeating the whole conversation before it. `seed` determines all of it.
 */
export class ConversationWorkload {
  readonly #options: Required<WorkloadOptions>;
  readonly #random: Random;
  readonly #systemPrompts: readonly Uint32Array[];
  readonly #active: Conversation[];
  #started = 0;

  /** @throws ConfigurationError `invalid-option` for a number that is no positive integer. */
  constructor(options: WorkloadOptions = {}) {
    this.#options = resolveOptions(options);
    this.#random = seededRandom(this.#options.seed);
    const { systemPrompts, systemPromptTokens, conversations } = this.#options;
    this.#systemPrompts = Array.from({ length: systemPrompts }, () => this.#tokens(systemPromptTokens));
    this.#active = Array.from({ length: conversations }, () => this.#startConversation());
  }

  /** Tokens of the longest prompt with its answer that can come. */
  get maxRequestTokens(): number {
    const { systemPromptTokens, turns, turnTokens, answerTokens } = this.#options;
    return systemPromptTokens + turns * (turnTokens + answerTokens);
  }

  next(): WorkloadRequest {
    const slot = randomInteger(this.#random, 0, this.#active.length - 1);
    const conversation = this.#active[slot]!;
    const { turnTokens, answerTokens } = this.#options;
    const tokens = concat(conversation.tokens, this.#tokens(randomInteger(this.#random, 1, turnTokens)));
    const outputTokens = this.#tokens(randomInteger(this.#random, 1, answerTokens));
    const turn = conversation.turn++;
    conversation.tokens = concat(tokens, outputTokens);
    if (conversation.turn === conversation.turns) this.#active[slot] = this.#startConversation();
    return { conversation: conversation.number, turn, tokens, outputTokens };
  }

  #startConversation(): Conversation {
    const systemPrompt = this.#systemPrompts[randomInteger(this.#random, 0, this.#systemPrompts.length - 1)]!;
    const turns = randomInteger(this.#random, 1, this.#options.turns);
    return { number: this.#started++, turns, turn: 0, tokens: systemPrompt };
  }

  #tokens(length: number): Uint32Array {
    return Uint32Array.from({ length }, () => randomInteger(this.#random, 0, this.#options.vocabularyTokens - 1));
  }
}

function concat(first: Uint32Array, second: Uint32Array): Uint32Array {
  const joined = new Uint32Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

function resolveOptions(options: WorkloadOptions): Required<WorkloadOptions> {
  const { seed = 0, ...given } = options;
  const sizes = {
    conversations: 24,
    systemPrompts: 3,
    systemPromptTokens: 256,
    turnTokens: 96,
    answerTokens: 160,
    turns: 8,
    vocabularyTokens: 1_000,
    ...given,
  };
  for (const [name, value] of Object.entries(sizes)) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new ConfigurationError("invalid-option", `workload: ${name} is ${value}; expected an integer from 1`);
  }
  return { seed, ...sizes };
}
