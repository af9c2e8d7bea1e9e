"""The sockets of one data-parallel rank: PUB for live batches, ROUTER for those of the past."""

from collections import deque

import zmq

END_SEQUENCE = (-1).to_bytes(8, "big", signed=True)
BUFFER_STEPS = 10_000
PUB_HIGH_WATER_MARK = 100_000


class Publisher:
    """`has_topic` is vLLM's framing of replays since 0.26. The ROUTER keeps libzmq's own high-water mark, 1,000."""

    def __init__(self, context, topic, has_topic):
        self.pub = context.socket(zmq.PUB)
        self.pub.set_hwm(PUB_HIGH_WATER_MARK)
        self.router = context.socket(zmq.ROUTER)
        self.sequence = 0
        self._topic = topic.encode()
        self._has_topic = has_topic
        self._buffer = deque(maxlen=BUFFER_STEPS)

    def bind(self, host, port, replay_port):
        self.pub.bind(f"tcp://{host}:{port}")
        self.router.bind(f"tcp://{host}:{replay_port}")

    def publish(self, payload, is_lost=False):
        """`is_lost`: as if every subscriber were at its high-water mark."""
        sequence = self.sequence.to_bytes(8, "big")
        if not is_lost:
            self.pub.send_multipart((self._topic, sequence, payload))
        self._buffer.append((self.sequence, payload))
        self.sequence += 1

    def serve_replays(self):
        """Answers who asked meanwhile. At the high-water mark libzmq drops answers and tells nobody."""
        while self.router.poll(0):
            request = self.router.recv_multipart()
            if len(request) != 3:
                continue
            client, _, start = request
            first = int.from_bytes(start, "big")
            for sequence, payload in self._buffer:
                if sequence >= first:
                    self._answer(client, sequence.to_bytes(8, "big"), payload)
            self._answer(client, END_SEQUENCE, b"")

    def close(self):
        self.pub.close(linger=0)
        self.router.close(linger=0)

    def _answer(self, client, sequence, payload):
        head = (client, b"", self._topic) if self._has_topic else (client, b"")
        self.router.send_multipart((*head, sequence, payload))
