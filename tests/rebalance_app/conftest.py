import pytest

from rebalance_app.runs import sweep
from rebalance_app.runs.launch import run_launch


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker but the test's own takes anything while a sweep waits for that, so it looks again at once."""
    monkeypatch.setattr(sweep, "SECOND_LOOK", 0.0)


@pytest.fixture
def run(book, manager, run_worker):
    return run_worker(run_launch(by=manager, model_id=book.model.pk, note="Quarter end"))


@pytest.fixture
def as_manager(client, manager):
    client.force_login(manager)
    return client


@pytest.fixture
def as_approver(client, approver):
    client.force_login(approver)
    return client
