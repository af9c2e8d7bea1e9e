"""An engine for tests, as vLLM or SGLang is seen from outside: `python engine --help`.

It reads one JSON command a line and answers each with one JSON line; it ends with its standard input.

    {"do": "serve", "prompts": 10}    publishes a batch for each; optional: "leastBytes", "isLost"
    {"do": "reset", "rank": 0}        drops a rank's cache and says so
    {"do": "truth"}                   what each rank holds, and what it does not hold any more
"""

import argparse
import json
import os
import random
import sys
import time

import zmq
from engine import Engine
from publisher import Publisher
from wire import ENCODINGS, HASH_FORMS, Wire
from workload import Workload

HOST = "127.0.0.1"


def parse_arguments():
    parser = argparse.ArgumentParser(prog="engine")
    parser.add_argument("--port", type=int, default=0, help="of rank 0; rank r has port + r; 0 takes free ones")
    parser.add_argument("--ranks", type=int, default=1, help="replay of rank r is on port + ranks + r")
    parser.add_argument("--encoding", choices=ENCODINGS, default="map")
    parser.add_argument("--hash-form", choices=tuple(HASH_FORMS), default="int")
    parser.add_argument("--replay-framing", choices=("plain", "topic"), default="topic")
    parser.add_argument("--topic", default="")
    parser.add_argument("--block-size", type=int, default=16)
    parser.add_argument("--capacity", type=int, default=1_000, help="blocks of each rank")
    parser.add_argument("--hash-seed", type=int, default=0, help="of the names of blocks, which no other process knows")
    parser.add_argument("--prompt-seed", type=int, default=0, help="of what is asked")
    return parser.parse_args()


class Process:
    def __init__(self, options):
        self._options = options
        self._wire = Wire(options.encoding, options.hash_form)
        self._workload = Workload(options.prompt_seed, options.block_size, options.encoding == "sglang")
        self._publishers, self.port = bind_all(options)
        self._engines = [
            Engine(options.block_size, options.capacity, f"{options.hash_seed}/{rank}", self._wire)
            for rank in range(options.ranks)
        ]

    def endpoints(self):
        ranks = self._options.ranks
        ports = [(self.port + rank, self.port + ranks + rank) for rank in range(ranks)]
        return [{"endpoint": f"tcp://{HOST}:{pub}", "replayEndpoint": f"tcp://{HOST}:{replay}"} for pub, replay in ports]

    def serve(self, prompts, leastBytes=0, isLost=False):
        for _ in range(prompts):
            number, tokens, adapter, salt = self._workload.next()
            rank = number % self._options.ranks
            self._publish(rank, self._engines[rank].run(tokens, adapter, salt), leastBytes, isLost)
        return {"sequences": [publisher.sequence for publisher in self._publishers]}

    def reset(self, rank=0):
        self._publish(rank, self._engines[rank].reset())
        return {"sequences": [publisher.sequence for publisher in self._publishers]}

    def truth(self):
        ranks = [
            {"nextSequence": publisher.sequence, "prompts": engine.truth()}
            for publisher, engine in zip(self._publishers, self._engines)
        ]
        return {"blockSize": self._options.block_size, "ranks": ranks}

    def run(self):
        say({"endpoints": self.endpoints()})
        poller = zmq.Poller()
        poller.register(sys.stdin.fileno(), zmq.POLLIN)
        for publisher in self._publishers:
            poller.register(publisher.router, zmq.POLLIN)
        unread = b""
        while True:
            ready = dict(poller.poll())
            self._serve_replays()
            if sys.stdin.fileno() not in ready:
                continue
            chunk = os.read(sys.stdin.fileno(), 65_536)
            if not chunk:
                return
            *lines, unread = (unread + chunk).split(b"\n")
            for line in lines:
                command = json.loads(line)
                say(getattr(self, command.pop("do"))(**command))

    def close(self):
        for publisher in self._publishers:
            publisher.close()

    def _publish(self, rank, events, least_bytes=0, is_lost=False):
        payload = self._wire.encode(time.time(), events, rank, least_bytes)
        self._publishers[rank].publish(payload, is_lost)
        self._serve_replays()

    def _serve_replays(self):
        for publisher in self._publishers:
            publisher.serve_replays()


def bind_all(options):
    """Publishers on consecutive ports, and the first of these."""
    context = zmq.Context.instance()
    for _ in range(100):
        # Below those that the system gives to whoever connects, so that a restart finds them free.
        port = options.port or random.randrange(20_000, 32_000)
        publishers = [Publisher(context, options.topic, options.replay_framing == "topic") for _ in range(options.ranks)]
        try:
            for rank, publisher in enumerate(publishers):
                publisher.bind(HOST, port + rank, port + options.ranks + rank)
            return publishers, port
        except zmq.ZMQError:
            for publisher in publishers:
                publisher.close()
            if options.port:
                raise
    raise SystemExit(f"no {2 * options.ranks} consecutive free ports found")


def say(answer):
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    process = Process(parse_arguments())
    try:
        process.run()
    finally:
        process.close()
        zmq.Context.instance().destroy(linger=0)
