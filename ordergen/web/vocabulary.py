"""What each state is called and looks like: one word, one icon, one colour tone, the same on every page."""

from __future__ import annotations

from typing import NamedTuple

# Drawn in a 12×12 box and filled with the colour of the text beside them, so no icon depends on a font.
ICONS: dict[str, str] = {
    "up": "M6 1.5 11.5 11H.5z",
    "down": "M6 10.5.5 1h11z",
    "dot": "M6 2a4 4 0 1 1 0 8 4 4 0 0 1 0-8z",
    "ring": "M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1zm0 1.6a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8z",
    "half": "M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1zm0 1.4v7.2a3.6 3.6 0 0 0 0-7.2z",
    "check": "M4.6 10.2.7 6.3l1.4-1.4 2.5 2.5 5.3-5.6 1.4 1.4z",
    "cross": "M2.2.9 6 4.7 9.8.9l1.3 1.3L7.3 6l3.8 3.8-1.3 1.3L6 7.3l-3.8 3.8L.9 9.8 4.7 6 .9 2.2z",
    "clock": "M6 .8a5.2 5.2 0 1 1 0 10.4A5.2 5.2 0 0 1 6 .8zm-.7 2v3.6l2.9 1.7.7-1.1-2.2-1.3V2.8z",
    "warning": "M6 .8 11.6 11H.4zM5.3 4.4v3.4h1.4V4.4zm0 4.4v1.3h1.4V8.8z",
    "hatch": "M1 1h10v10H1zm1.2 1.2v2L4.2 2.2zm4 0L2.2 6.2v2l6-6zm3.6.4-7.2 7.2h2L9.8 4.6zm0 4-3.2 3.2h2l1.2-1.2z",
    "bars": "M2.5 1.5h2.5v9H2.5zm4.5 0h2.5v9H7z",
    "dash": "M1.5 5.2h9v1.6h-9z",
    "stop": "M2 2h8v8H2z",
    "info": "M6 .8a5.2 5.2 0 1 1 0 10.4A5.2 5.2 0 0 1 6 .8zM5.3 5v4.2h1.4V5zm0-2.2v1.4h1.4V2.8z",
}


class Look(NamedTuple):
    """`tone` is a class of ordergen.css: ok, warn, danger, info, buy, sell, or empty for neutral."""

    word: str
    icon: str
    tone: str = ""


UNKNOWN = Look("Unknown", "warning", "warn")

OVER, UNDER = Look("Over", "down", "sell"), Look("Under", "up", "buy")

STATES: dict[str, dict[str, Look]] = {
    "drift": {
        "in_band": Look("In band", "dot"),
        "near": Look("Near", "half", "warn"),
        "over": OVER,
        "under": UNDER,
        "breach_over": OVER,
        "breach_under": UNDER,
        "breach": Look(
            "Breach", "warning", "danger"
        ),  # of a portfolio: some position is over, under or not in the model
        "not_in_model": Look("Not in model", "cross", "sell"),
        "unpriced": Look("Unpriced", "hatch", "info"),
        "no_model": Look("No model", "ring"),
        "unknown": Look("Cannot tell", "hatch", "info"),
        "not_computed": Look("Not computed yet", "clock", "info"),
    },
    "run": {
        "queued": Look("Queued", "clock"),
        "running": Look("Running", "half", "info"),
        "completed": Look("Completed", "check", "ok"),
        "completed_with_failures": Look("Completed with failures", "warning", "warn"),
        "cancelled": Look("Cancelled", "stop"),
        "stopped": Look("Stopped", "warning", "danger"),
    },
    "proposal": {
        "queued": Look("Queued", "clock"),
        "solving": Look("Solving", "half", "info"),
        "solved": Look("Solved", "check", "ok"),
        "no_trades": Look("No trades needed", "dot", "ok"),
        "time_limit": Look("Not proven optimal", "warning", "warn"),
        "infeasible": Look("Infeasible", "cross", "danger"),
        "failed": Look("Failed", "cross", "danger"),
        "cancelled": Look("Cancelled", "stop"),
    },
    "order": {
        "proposed": Look("Proposed", "clock", "info"),
        "held": Look("Held", "bars", "warn"),
        "approved_once": Look("Approved 1 of 2", "half", "info"),
        "approved": Look("Approved", "check", "ok"),
        "sending": Look("Sending", "clock", "info"),
        "not_sent": Look("Not sent", "warning", "warn"),
        "unknown": Look("Unknown", "warning", "danger"),  # whether it was sent: somebody has to look
        "sent": Look("Sent", "up", "info"),
        "exported": Look("Exported", "up", "info"),
        "acknowledged": Look("Acknowledged", "ring", "info"),
        "partly_filled": Look("Partly filled", "half", "ok"),
        "filled": Look("Filled", "dot", "ok"),
        "refused": Look("Refused", "stop", "danger"),
        "cancelled": Look("Cancelled", "stop"),
        "lapsed": Look("Lapsed", "clock"),
        "closed": Look("Done outside", "dot", "ok"),
        "rejected": Look("Rejected", "cross", "danger"),
        "superseded": Look("Superseded", "dash"),
        "outdated": Look("Outdated", "dash", "warn"),
        "approved_earlier": Look("Approved earlier", "hatch", "warn"),
    },
    "fit": {
        "done": Look("Done", "check", "ok"),
        "partly_done": Look("Partly done", "half", "info"),
        "not_done": Look("Not done", "clock", "info"),
        "does_not_fit": Look("Does not fit", "warning", "warn"),
    },
    "side": {"BUY": Look("BUY", "up", "buy"), "SELL": Look("SELL", "down", "sell")},
}


def look(kind: str, state: str) -> Look:
    """The look of `state`; one this table does not know is shown by its own name with a warning, never hidden."""
    return STATES[kind].get(state) or UNKNOWN._replace(word=str(state).replace("_", " ") or UNKNOWN.word)


REASONS: dict[str, str] = {
    "BREACH_OVER": "Over its band",
    "BREACH_UNDER": "Under its band",
    "TOWARD_TARGET": "Toward target",
    "NOT_IN_MODEL": "Not in model",
    "RAISE_CASH": "Raises cash",
    "INVEST_CASH": "Invests cash",
    "COVER_SHORT": "Covers a short",
}
