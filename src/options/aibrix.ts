import { ConfigurationError } from "../errors.ts";
import { nearest } from "./spelling.ts";

/** Variables of AIBrix's that are taken and change nothing, with the reason. */
export const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  AIBRIX_ZMQ_POLL_TIMEOUT: "nothing polls: messages are taken as they come",
  AIBRIX_SYNC_EVICTION_INTERVAL_SECONDS: "what is over its bounds or its age goes at once, not at intervals",
};

/** Variables of this feature in AIBrix; others of its gateway are none of ours. */
const FAMILIES = /^AIBRIX_(PREFIX_CACHE_|KV_EVENT_|ZMQ_|SYNC_|USE_REMOTE_TOKENIZER|.*TOKENIZER)/;

/** What is said of a variable that looks like ours and is none; `undefined` where it does not. */
export function spellingHint(name: string, known: readonly string[]): string | undefined {
  if (known.includes(name) || WITHOUT_EFFECT[name] !== undefined) return undefined;
  if (!FAMILIES.test(name) && !name.startsWith("KV_")) return undefined;
  const meant = nearest(name, [...known, ...Object.keys(WITHOUT_EFFECT)]);
  if (meant !== undefined) return `${name} is no variable of ours: did you mean ${meant}?`;
  return FAMILIES.test(name) ? `${name} is not used here` : undefined;
}

/** What AIBrix's own switches depend on. */
export interface SyncSwitches {
  readonly kvEventSyncEnabled?: boolean | undefined;
  readonly useRemoteTokenizer?: boolean | undefined;
  readonly tokenizerType?: string | undefined;
  readonly tokenizerEndpoint?: string | undefined;
}

/** Whether events are followed, and what is to be said of it. */
export interface SyncDecision {
  readonly isEnabled: boolean;
  readonly warnings: readonly string[];
}

/**
 * AIBrix's rules, which hold where its switch is set: sync needs the remote tokenizer, since others give other tokens
 * than the engines. Asked for without, it is off, and everything else runs. Where the switch is not set, engines are
 * followed: the daemon is there for nothing else.
 *
 * @throws ConfigurationError `invalid-option` where the remote tokenizer is wanted and cannot be: with the variable to set.
 */
export function decideSync(switches: SyncSwitches): SyncDecision {
  const { kvEventSyncEnabled, useRemoteTokenizer, tokenizerType = "character", tokenizerEndpoint } = switches;
  if (kvEventSyncEnabled === undefined) return { isEnabled: true, warnings: [] };
  if (!kvEventSyncEnabled) return { isEnabled: false, warnings: [] };
  if (useRemoteTokenizer !== true) {
    const warning =
      "KV event sync is asked for without the remote tokenizer: it is off; set AIBRIX_PREFIX_CACHE_USE_REMOTE_TOKENIZER=true";
    return { isEnabled: false, warnings: [warning] };
  }
  if (tokenizerType !== "remote") {
    throw new ConfigurationError(
      "invalid-option",
      `KV event sync takes the remote tokenizer, and its type is ${JSON.stringify(tokenizerType)}: set AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE=remote`,
    );
  }
  if (tokenizerEndpoint === undefined) {
    throw new ConfigurationError(
      "invalid-option",
      "the remote tokenizer has no endpoint: set AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT, such as http://vllm:8000",
    );
  }
  return { isEnabled: true, warnings: [] };
}
