"""What the custodian and others say of Fell's book."""

from io import BytesIO

from models_app.imports.services import apply_import, plan_import


def state_holdings(**shares):
    """The morning's file from the custodian."""
    rows = "\n".join(f"Fell,{ticker},{n}" for ticker, n in shares.items())
    plan = plan_import("holdings", BytesIO(f"portfolio,ticker,quantity\n{rows}\n".encode()), None)
    apply_import(plan, by=None)


def state_cash(amount):
    apply_import(plan_import("portfolios", BytesIO(f"name,cash\nFell,{amount}\n".encode()), None), by=None)
