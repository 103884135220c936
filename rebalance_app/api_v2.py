"""API v2 of runs, proposals, orders and limits, put together."""

from ninja import Router

from rebalance_app.closing.api_v2 import router as closing
from rebalance_app.limits.api_v2 import router as limits
from rebalance_app.orders.api_v2 import router as orders
from rebalance_app.proposals.api_v2 import router as proposals
from rebalance_app.runs.api_v2 import router as runs
from rebalance_app.sending.api_v2 import router as sending
from rebalance_app.what_if.api_v2 import router as what_if

router = Router()  # of two rooms that share a path, the one with the fixed words comes first
for room in (runs, proposals, closing, sending, orders, what_if, limits):
    router.add_router("", room)
