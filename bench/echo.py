"""`python -m bench.echo BYTES` is the echo server: it shows the cost of grpc.aio itself.

Like the governor, it is a process on uvloop. It answers every method with the first BYTES bytes of the
request, padded with zeros if that is shorter. BYTES is the length of the governor's answers. Neither side
decodes anything.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import grpc
import uvloop


class _Echo(grpc.GenericRpcHandler):
    def __init__(self, answer_bytes: int) -> None:
        self._padding = bytes(answer_bytes)
        self._answer_bytes = answer_bytes
        self._handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._echo)

    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return self._handler

    async def _echo(self, request: bytes, _context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return (request + self._padding)[: self._answer_bytes]


async def _serve(answer_bytes: int) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([_Echo(answer_bytes)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"ready echo=127.0.0.1:{port}", flush=True)
    await stopping.wait()
    await server.stop(1)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
