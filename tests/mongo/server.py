"""A server that speaks MongoDB's protocol and keeps all in memory: `python -m tests.mongo.server PORT`.

mongoeco 4.11 with its faults that stand in our way worked around, here and nowhere else. What it cannot show is named in
`tests/mongo/replica_set.py`, which asks a real one.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from mongoeco.core.aggregation import extensions, transform_stages
from mongoeco.engines.memory import MemoryEngine
from mongoeco.wire import handshake
from mongoeco.wire.executor import WireCommandExecutor
from mongoeco.wire.proxy import AsyncMongoEcoProxyServer


def answer_buildinfo() -> None:
    """It knows only `buildInfo`; MongoDB takes any spelling, and PyMongo uses another one."""
    build = WireCommandExecutor._build_request_context

    def spelled(self: WireCommandExecutor, body: dict[str, Any], **options: Any) -> Any:
        if "buildinfo" in body:
            body = {"buildInfo" if key == "buildinfo" else key: value for key, value in body.items()}
        return build(self, body, **options)

    WireCommandExecutor._build_request_context = spelled


def be_a_replica_set() -> None:
    """It has transactions and says that it is a server by itself, where MongoDB has none."""
    build = handshake.WireHandshakeService.build_hello_response

    def named(self: handshake.WireHandshakeService, **options: Any) -> Any:
        return build(self, **options) | {"setName": "rs0"}

    handshake.WireHandshakeService.build_hello_response = named


def negate() -> None:
    """It has no `$not` among the expressions."""

    def negated(document: Any, spec: Any, variables: Any, _dialect: Any, context: Any) -> bool:
        (argument,) = spec if isinstance(spec, list) else [spec]
        return not context.evaluate_expression(document, argument, variables)

    extensions.register_aggregation_expression_operator("$not", negated)


def project_what_is_nested() -> None:
    """Of `$project: {s: {x: 1}}` it makes the number 1; `{"s.x": 1}`, which means the same, it knows."""
    project = transform_stages._apply_project

    def flat(spec: dict[str, Any], path: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in spec.items():
            is_nested = isinstance(value, dict) and value and not any(name.startswith("$") for name in value)
            found |= flat(value, f"{path}{key}.") if is_nested else {f"{path}{key}": value}
        return found

    def projected(documents: Any, spec: Any, *rest: Any, **options: Any) -> Any:
        return project(documents, flat(spec) if isinstance(spec, dict) else spec, *rest, **options)

    transform_stages._apply_project = projected


async def serve(port: int) -> None:
    server = AsyncMongoEcoProxyServer(engine=MemoryEngine(), mongodb_dialect="7.0", port=port)
    await server.start()
    sys.stdout.write(f"listens on {port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    for mend in (answer_buildinfo, be_a_replica_set, negate, project_what_is_nested):
        mend()
    asyncio.run(serve(int(sys.argv[1])))
