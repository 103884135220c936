import pytest

from rebalance_app.orders.decide import run_decide


@pytest.fixture
def approved(proposal, approver):
    """SELL 550 KELP, BUY 1,500 RUNE and BUY 50 MOSS for Fell are approved."""
    assert run_decide(by=approver, run_id=proposal.run.pk, verdict="approved").n_decided == 3
    return proposal
