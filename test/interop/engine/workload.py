"""Conversations that begin with one of a few system prompts; each turn repeats all that was said before."""

import random


class Workload:
    def __init__(self, seed, block_size, is_plain):
        self._random = random.Random(seed)
        self._block_size = block_size
        self._is_plain = is_plain
        self._systems = [self._tokens(4 * block_size) for _ in range(3)]
        self._conversations = []
        self._started = 0

    def next(self):
        """A prompt: number of its conversation, tokens, adapter, salt. It has at least one block that none had before."""
        if len(self._conversations) < 20:
            self._conversations.append(self._start())
        conversation = self._random.choice(self._conversations)
        length = self._random.randint(self._block_size, 5 * self._block_size)
        conversation["tokens"] = conversation["tokens"] + self._tokens(length)
        conversation["turns"] -= 1
        if conversation["turns"] == 0:
            self._conversations.remove(conversation)
        return conversation["number"], conversation["tokens"], conversation["adapter"], conversation["salt"]

    def _start(self):
        number = self._started
        self._started += 1
        kind = 0 if self._is_plain else number % 6
        return {
            "number": number,
            "tokens": self._random.choice(self._systems),
            "turns": self._random.randint(1, 8),
            "adapter": "adapter-é" if kind in (1, 3) else None,
            "salt": "salt" if kind in (2, 3) else None,
        }

    def _tokens(self, count):
        """Of one to five bytes each in MessagePack, up to the largest id there is."""
        return [self._random.choice((127, 255, 65_535, 151_936, 2**32 - 1)) - self._random.randrange(100) for _ in range(count)]
