import pytest

from rebalance_app.runs import sweep


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker but the test's own takes anything while a sweep waits for that, so it looks again at once."""
    monkeypatch.setattr(sweep, "SECOND_LOOK", 0.0)
