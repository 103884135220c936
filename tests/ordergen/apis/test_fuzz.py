"""Schemathesis over both OpenAPI documents, as every role and as nobody.

Whatever the documents allow to be sent, and what they do not, no operation answers with a server error or with a status
that its document does not name.
"""

import json
from collections import Counter
from functools import lru_cache

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from ordergen.accounts.roles import Role
from ordergen.api import APIS
from ordergen.wsgi import application
from rebalance_app.runs.launch import run_launch

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
EXAMPLES = {Role.MANAGER: 6}  # by operation; who may do less has less to break
PROMISED = [not_a_server_error, status_code_conformance, response_schema_conformance]
PLAIN = {"Accept-Encoding": "identity"}  # without a network between, nobody would unpack an answer
WITHOUT_LIMITS = dict.fromkeys(("API_READS_PER_MINUTE", "API_WRITES_PER_MINUTE", "SIGN_IN_TRIES_PER_ADDRESS"), 10**9)


@pytest.fixture
def real_ids(book, manager, run_worker):
    """Values of path parameters behind which there is something, so that cases come further than 404."""
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    order = run.orders.first()
    return {
        "model_id": book.model.pk,
        "portfolio_id": book.harbour.pk,
        "security_id": book.aaa.pk,
        "rebalance_id": run.pk,
        "run_id": run.pk,
        "order_id": order.pk,
    }


@pytest.mark.usefixtures("worker")  # so that triggers end, and do not answer 503 after a while
@pytest.mark.parametrize("role", [*Role, None], ids=lambda role: role or "anonymous")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_no_server_error_and_no_status_the_document_does_not_name(version, role, person, key_for, real_ids, settings):
    for name, value in WITHOUT_LIMITS.items():
        setattr(settings, name, value)
    member = {"X-API-Key": key_for(person(role or Role.VIEWER, name="fuzz"))}
    statuses = Counter()
    for cases in _operations(version):
        _try(cases, EXAMPLES.get(role, 2), member if role else {}, real_ids, statuses)

    assert sum(statuses.values()) >= 30
    if role is None:
        assert set(statuses) <= {400, 401, 404, 405, 413, 415, 422}, statuses
    else:
        assert statuses[200], statuses


@lru_cache(maxsize=2)
def _operations(version):
    """What to send to each operation: both what its document allows and what it does not. Slow to work out."""
    document = APIS[f"/api/{version}"].get_openapi_schema(path_prefix=f"/api/{version}/")
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(document)))
    schema.app = application
    operations = [found.ok() for found in schema.get_all_operations()]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    return [st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes)) for operation in operations]


def _try(cases, examples, headers, real_ids, statuses):
    @seed(4)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, is_real=st.booleans())
    def run(case, is_real):
        if is_real and case.path_parameters:
            case.path_parameters |= {name: real_ids[name] for name in case.path_parameters.keys() & real_ids.keys()}
        response = case.call(headers=headers | PLAIN)
        statuses[response.status_code] += 1
        case.validate_response(response, checks=PROMISED)

    run()
