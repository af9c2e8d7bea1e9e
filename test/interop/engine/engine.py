"""A paged block pool with prefix reuse and eviction in the order of last use, as vLLM's `vllm/v1/core/block_pool.py` has."""

import hashlib
from array import array
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """A full block of tokens with all that came before it."""

    digest: bytes
    parent: "Block | None"
    tokens: tuple[int, ...]
    adapter: str | None
    salt: str | None

    def extra_keys(self):
        keys = [] if self.adapter is None else [self.adapter]
        if self.parent is None and self.salt is not None:
            keys.append(self.salt)
        return keys or None


class Engine:
    """One data-parallel rank: what it holds, and what it did on the way there."""

    def __init__(self, block_size, capacity, seed, wire):
        self._block_size = block_size
        self._capacity = capacity
        self._seed = str(seed).encode()
        self._wire = wire
        self._held = {}
        self._idle = OrderedDict()
        self._known = {}
        self._inner = set()

    def run(self, tokens, adapter=None, salt=None):
        """Serves a prompt; returns the events of it."""
        chain = self._chain(tokens, adapter, salt)
        for block in chain:
            self._idle.pop(block.digest, None)
        new = [block for block in chain if block.digest not in self._held]
        events = [self._wire.removed(self._evict()) for _ in range(len(self._held) + len(new) - self._capacity)]
        events += [self._wire.stored(run, self._block_size) for run in consecutive(new)]
        for block in new:
            self._held[block.digest] = block
        # Tails go before what more prompts share.
        for block in reversed(chain):
            self._idle[block.digest] = block
        return events

    def reset(self):
        """Drops the whole cache; returns the events of it."""
        self._held.clear()
        self._idle.clear()
        return [self._wire.cleared()]

    def truth(self):
        """Every prompt ever served, but for those that others go on from; `held` tells of each of its blocks."""
        return [self._describe(block) for digest, block in self._known.items() if digest not in self._inner]

    def _describe(self, leaf):
        chain = []
        block = leaf
        while block is not None:
            chain.append(block)
            block = block.parent
        chain.reverse()
        return {
            "tokens": [token for block in chain for token in block.tokens],
            "adapter": leaf.adapter,
            "salt": leaf.salt,
            "held": [block.digest in self._held for block in chain],
        }

    def _chain(self, tokens, adapter, salt):
        chain = []
        parent = None
        for start in range(0, len(tokens) - self._block_size + 1, self._block_size):
            part = tuple(tokens[start : start + self._block_size])
            before = parent.digest if parent else b"root" + repr((adapter, salt)).encode()
            digest = hashlib.sha256(self._seed + before + array("I", part).tobytes()).digest()
            block = self._known.get(digest) or Block(digest, parent, part, adapter, salt)
            self._known[digest] = block
            if parent is not None:
                self._inner.add(parent.digest)
            chain.append(block)
            parent = block
        return chain

    def _evict(self):
        digest, block = self._idle.popitem(last=False)
        del self._held[digest]
        return block


def consecutive(blocks):
    """Splits into runs in which each block is the child of the one before it."""
    runs = []
    for block in blocks:
        if runs and block.parent is runs[-1][-1]:
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs
