"""Asks servers for their health without pause, in its own process: `python -m tests.fuzz.health TARGET…`.

It stops when its input ends, and prints the longest wait in seconds, and the failures.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

_PAUSE_SECONDS = 0.02
_TIMEOUT_SECONDS = 60.0


class _Prober(threading.Thread):
    def __init__(self, target: str) -> None:
        super().__init__(daemon=True)
        self.target = target
        self.longest_seconds = 0.0
        self.checks = 0
        self.failures: list[str] = []
        self._ended = threading.Event()

    def run(self) -> None:
        with grpc.insecure_channel(self.target) as channel:
            health: Any = HealthStub(channel)
            grpc.channel_ready_future(channel).result(_TIMEOUT_SECONDS)
            while not self._ended.wait(_PAUSE_SECONDS):
                began = time.monotonic()
                try:
                    answer = health.Check(HealthCheckRequest(), timeout=_TIMEOUT_SECONDS)
                    if answer.status != HealthCheckResponse.SERVING:
                        self.failures.append(f"status {answer.status}")
                except grpc.RpcError as error:
                    self.failures.append(str(error))
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
                self.checks += 1

    def end(self) -> None:
        self._ended.set()
        self.join()


def main() -> None:
    probers = [_Prober(target) for target in sys.argv[1:]]
    for prober in probers:
        prober.start()
    print("asking", flush=True)
    sys.stdin.read()
    for prober in probers:
        prober.end()
    print(
        json.dumps(
            {
                prober.target: {
                    "longest_seconds": prober.longest_seconds,
                    "checks": prober.checks,
                    "failures": prober.failures[:10],
                }
                for prober in probers
            }
        )
    )


if __name__ == "__main__":
    main()
