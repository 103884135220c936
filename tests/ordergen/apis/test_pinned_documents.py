"""Names in a generated client come from the document: code may move and classes may be renamed, these may not."""

import pytest

from ordergen.api import APIS
from tests.ordergen.apis.pinned import PREFIXES, differences


@pytest.mark.parametrize("version", PREFIXES)
def test_the_documents_of_both_apis_are_what_clients_were_generated_from(version):
    found = differences(version)

    assert not found, f"A change that is meant is renewed by `make pin`.\n{found}"


@pytest.mark.parametrize("prefix", APIS)
def test_every_operation_says_its_own_name(prefix):
    """Ninja would make one of the module and the function, and a function that moves would rename it for clients."""
    assert [name for name, operation in operations(prefix) if operation.operation_id is None] == []


@pytest.mark.parametrize("prefix", APIS)
def test_every_operation_declares_its_errors(prefix):
    """Be it that it has none of its own: then it says `errors()`."""
    assert [name for name, operation in operations(prefix) if "responses" not in (operation.openapi_extra or {})] == []


def operations(prefix):
    """Name and operation of all there are."""
    return [
        (f"{operation.methods} {prefix}{path}", operation)
        for _, router in APIS[prefix]._routers
        for path, view in router.path_operations.items()
        for operation in view.operations
    ]
