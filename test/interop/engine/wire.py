"""What an engine puts on the wire: the event structs of its revision, as msgspec writes them.

Field names, order and defaults are those of vllm/distributed/kv_events.py and sglang/srt/disaggregation/kv_events.py.
"""

from typing import Any

import msgspec
from msgspec import defstruct

HASH = int | bytes
STORED = [
    ("block_hashes", list[HASH]),
    ("parent_block_hash", HASH | None),
    ("token_ids", list[int]),
    ("block_size", int),
    ("lora_id", int | None),
    ("medium", str | None),
    ("lora_name", str | None),
    ("extra_keys", list | None, None),
    ("group_idx", int | None, None),
    ("kv_cache_spec_kind", str | None, None),
    ("kv_cache_spec_sliding_window", int | None, None),
]
REMOVED = [("block_hashes", list[HASH]), ("medium", str | None), ("group_idx", int | None, None)]
BATCH = [("ts", float), ("events", list[Any]), ("data_parallel_rank", int | None, None), ("padding", bytes | None, None)]

# array: vLLM before 0.24. map: since then. map-batch: vLLM 0181ea3. sglang: seven entries, neither adapters nor salts.
ENCODINGS = ("array", "map", "map-batch", "sglang")
HASH_FORMS = {
    "int": lambda digest: int.from_bytes(digest[-8:], "big"),
    "signed": lambda digest: int.from_bytes(digest[-8:], "big", signed=True),
    "bytes8": lambda digest: digest[-8:],
    "bytes32": lambda digest: digest,
}


class Wire:
    """Encodes the batches of one engine."""

    def __init__(self, encoding, hash_form):
        options = {"array_like": encoding in ("array", "sglang"), "omit_defaults": True}
        self._is_short = encoding == "sglang"
        stored = STORED[:6] if self._is_short else STORED
        removed = REMOVED[:2] if self._is_short else REMOVED
        self._stored = defstruct("BlockStored", stored, tag="BlockStored", **options)
        self._removed = defstruct("BlockRemoved", removed, tag="BlockRemoved", **options)
        self._cleared = defstruct("AllBlocksCleared", [], tag="AllBlocksCleared", **options)
        self._batch = defstruct("Batch", BATCH, array_like=encoding != "map-batch", omit_defaults=True)
        self._hash = HASH_FORMS[hash_form]
        self._encoder = msgspec.msgpack.Encoder()

    def stored(self, blocks, block_size):
        """Consecutive new blocks; all of one prompt."""
        first = blocks[0]
        fields = {
            "block_hashes": [self._hash(block.digest) for block in blocks],
            "parent_block_hash": None if first.parent is None else self._hash(first.parent.digest),
            "token_ids": [token for block in blocks for token in block.tokens],
            "block_size": block_size,
            "lora_id": None,
            "medium": "GPU",
        }
        if not self._is_short:
            fields["lora_name"] = first.adapter
            if first.adapter is not None or first.salt is not None:
                fields["lora_id"] = None if first.adapter is None else 1
                fields["extra_keys"] = [block.extra_keys() for block in blocks]
        return self._stored(**fields)

    def removed(self, block):
        return self._removed([self._hash(block.digest)], "GPU")

    def cleared(self):
        return self._cleared()

    def encode(self, ts, events, rank, least_bytes=0):
        """The payload. Where it has fewer bytes than `least_bytes`, a field that no reader knows fills it up."""
        payload = self._encoder.encode(self._batch(ts, events, rank))
        if len(payload) >= least_bytes:
            return payload
        return self._encoder.encode(self._batch(ts, events, rank, bytes(least_bytes - len(payload))))
