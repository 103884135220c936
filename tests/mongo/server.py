"""A server that speaks MongoDB's protocol and keeps all in memory: `python -m tests.mongo.server PORT`.

mongoeco 4.11 with its faults that stand in our way worked around, here and nowhere else. What it cannot show is how
transactions of several processes meet: for that `make test-mongo MONGO_URL=…` asks a real replica set.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from mongoeco import AsyncMongoClient
from mongoeco.core.aggregation import extensions
from mongoeco.engines.memory import MemoryEngine
from mongoeco.wire import handshake
from mongoeco.wire._executor_handlers import WireSpecialCommandHandlers
from mongoeco.wire.executor import WireCommandExecutor
from mongoeco.wire.proxy import AsyncMongoEcoProxyServer

from ordergen.core.mongo.locks import COLLECTION as LOCKS


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
    build = WireCommandExecutor._build_request_context

    def flat(spec: dict[str, Any], path: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in spec.items():
            is_nested = isinstance(value, dict) and value and not any(name.startswith("$") for name in value)
            found |= flat(value, f"{path}{key}.") if is_nested else {f"{path}{key}": value}
        return found

    def flattened(stages: Any) -> Any:
        if isinstance(stages, list):
            return [flattened(stage) for stage in stages]
        if not isinstance(stages, dict):
            return stages
        return {key: flat(value) if key == "$project" else flattened(value) for key, value in stages.items()}

    def built(self: WireCommandExecutor, body: dict[str, Any], **options: Any) -> Any:
        return build(self, body | {"pipeline": flattened(body["pipeline"])} if "pipeline" in body else body, **options)

    WireCommandExecutor._build_request_context = built


def keep_locks_elsewhere() -> None:
    """Any write since a transaction began is a conflict at its commit, and so would be each lock taken inside of one.

    MongoDB knows of conflicts by document. Locks, which are written beside transactions, so get an engine of their own.
    """
    dispatch, locks = WireSpecialCommandHandlers.dispatch, AsyncMongoClient(MemoryEngine())

    async def dispatched(self: WireSpecialCommandHandlers, context: Any) -> Any:
        if next(iter(context.command_document.values())) == LOCKS:
            return await locks.get_database(context.db_name).command(context.command_document)
        return await dispatch(self, context)

    WireSpecialCommandHandlers.dispatch = dispatched


def find_duplicates_by_index() -> None:
    """It looks for a duplicate key through the whole collection, at every insert; here the indexes are asked."""
    ensure = MemoryEngine._ensure_unique_indexes

    def ensured(self: MemoryEngine, db_name: str, coll_name: str, candidate: Any, **options: Any) -> None:
        views = [options.get("indexes_view"), options.get("index_data_view")]
        records = (self._indexes if views[0] is None else views[0]).get(db_name, {}).get(coll_name, [])
        kept = (self._index_data if views[1] is None else views[1]).get(db_name, {}).get(coll_name, {})
        itself, others = options.get("exclude_storage_key"), []
        for record in records:
            values = [candidate.get(name) for name in record["fields"]]
            plain = len(values) > 1 and not any(isinstance(value, list | dict) for value in values)
            if not (record.get("unique") and plain and record["name"] in kept):
                others.append(record)
                continue
            for key in self._unique_index_keys(candidate, record["fields"]):
                if set(kept[record["name"]].get(key) or ()) - {itself, self._storage_key(itself)}:
                    raise self._unique_key_error(
                        f"Duplicate key for {record['name']}", f"{db_name}.{coll_name}", candidate, index=record,
                        conflict=key,
                    )  # fmt: skip
        options |= {"indexes_view": {db_name: {coll_name: others}}, "scan_payload_id": False}
        ensure(self, db_name, coll_name, candidate, **options)

    MemoryEngine._ensure_unique_indexes = ensured


async def serve(port: int) -> None:
    server = AsyncMongoEcoProxyServer(engine=MemoryEngine(), mongodb_dialect="7.0", port=port)
    await server.start()
    sys.stdout.write(f"listens on {port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


MENDED = (
    answer_buildinfo, be_a_replica_set, negate, project_what_is_nested, keep_locks_elsewhere, find_duplicates_by_index,
)  # fmt: skip

if __name__ == "__main__":
    for mend in MENDED:
        mend()
    asyncio.run(serve(int(sys.argv[1])))
