import type { BlockHash, ExtraKey } from "../events/event.ts";

/** A full block of tokens with all the tokens before it: what the engine's hash names. */
export interface Block {
  readonly blockHash: BlockHash;
  readonly parent: Block | null;
  /** Of this block alone. */
  readonly tokenIds: Uint32Array;
  readonly loraName: string | null;
  readonly cacheSalt: string | null;
}

/** What decides about blocks besides tokens. */
export interface BlockIdentity {
  readonly loraName: string | null;
  readonly cacheSalt: string | null;
}

/** What else went into the block's hash, as vLLM lists it (`generate_block_hash_extra_keys`): the adapter in each block, the salt in the first. */
export function extraKeysOf({ parent, loraName, cacheSalt }: Block): readonly ExtraKey[] | null {
  const keys = [loraName, parent === null ? cacheSalt : null].filter((key) => key !== null);
  return keys.length === 0 ? null : keys;
}

/** All tokens from the start of the prompt to the end of the block. */
export function prefixTokens(block: Block): Uint32Array {
  const chain: Uint32Array[] = [];
  let length = 0;
  for (let current: Block | null = block; current !== null; current = current.parent) {
    chain.push(current.tokenIds);
    length += current.tokenIds.length;
  }
  const tokens = new Uint32Array(length);
  let offset = 0;
  for (const part of chain.reverse()) {
    tokens.set(part, offset);
    offset += part.length;
  }
  return tokens;
}

/**
 * Names a block as an engine does: by its parent's name, its tokens and what else decides. The names of two seeds have
 * nothing in common, as those of two processes of vLLM without `PYTHONHASHSEED`.
 */
export function blockHash(
  seed: number,
  parent: BlockHash | null,
  tokenIds: ArrayLike<number>,
  identity: BlockIdentity,
): BlockHash {
  const hash = new TwoLanes(seed);
  if (parent === null) hash.add(0x5eed);
  else {
    hash.add(Number(parent & 0xffff_ffffn));
    hash.add(Number(parent >> 32n));
  }
  for (let index = 0; index < tokenIds.length; index++) hash.add(tokenIds[index]!);
  hash.addText(identity.loraName);
  if (parent === null) hash.addText(identity.cacheSalt);
  return hash.finish();
}

/** Two murmur3 lanes of 32 bits with different constants. */
class TwoLanes {
  #low: number;
  #high: number;

  constructor(seed: number) {
    this.#low = seed | 0;
    this.#high = Math.imul(seed, 0x9e37_79b1) ^ Math.floor(seed / 0x1_0000_0000);
  }

  add(value: number): void {
    this.#low = step(this.#low, value, 0xcc9e_2d51, 0x1b87_3593, 0xe654_6b64);
    this.#high = step(this.#high, value, 0x85eb_ca77, 0xc2b2_ae3d, 0x5ab3_cd0b);
  }

  addText(text: string | null): void {
    const length = text?.length ?? 0xffff_ffff;
    for (const character of text ?? "") this.add(character.codePointAt(0)!);
    this.add(length);
  }

  finish(): BlockHash {
    const low = avalanche(this.#low ^ this.#high);
    const high = avalanche((this.#high + low) | 0);
    return (BigInt(high) << 32n) | BigInt(low);
  }
}

function step(lane: number, value: number, first: number, second: number, added: number): number {
  const spread = Math.imul(value, first);
  const mixed = lane ^ Math.imul((spread << 15) | (spread >>> 17), second);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + added) | 0;
}

function avalanche(lane: number): number {
  let mixed = lane ^ (lane >>> 16);
  mixed = Math.imul(mixed, 0x85eb_ca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
