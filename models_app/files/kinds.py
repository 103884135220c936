"""The six kinds of CSV file and their columns: the one table that imports, exports, pages and command line share."""

from __future__ import annotations

from dataclasses import dataclass

from models_app.files import cells
from models_app.sources import get_source
from ordergen.core.errors import NotFoundError


@dataclass(frozen=True)
class FileColumn:
    """One column: how its cells are read, and what a person has to know to write them."""

    name: str
    parse: cells.Parse
    help: str
    example: str
    required: bool = True  # the file must have the column
    may_be_empty: bool = False  # a cell may be left empty, and is then None
    holds: str = "text"  # or "number", "weight" or "day": those have many spellings
    may_be_stated: bool = False  # instead of a column, one value may be named for the whole file

    @property
    def is_needed(self) -> bool:
        """Whether every row has to say it."""
        return self.required and not self.may_be_empty


@dataclass(frozen=True)
class FileKind:
    """One kind of file. `meaning` says what importing it does to what is already there."""

    name: str
    title: str
    columns: tuple[FileColumn, ...]
    meaning: str
    examples: tuple[str, ...]  # rows as they stand in a file

    @property
    def header(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def stated(self) -> FileColumn | None:
        """The column whose one value may be said for a whole file instead."""
        return next((column for column in self.columns if column.may_be_stated), None)

    @property
    def example_file(self) -> str:
        """A file that shows how it is written."""
        return "\n".join([",".join(self.header), *self.examples])

    def column(self, name: str) -> FileColumn:
        return next(column for column in self.columns if column.name == name)


_TICKER = cells.text(20)
_NAME = cells.text(255)
_FRACTION = "as a fraction of market value: 0.025 or 2.5% is 2.5 %"
_ALNUM_24 = "24 letters or digits"
_HEX_24 = "24 characters of 0-9 and a-f"
_PORTFOLIO = FileColumn(
    "portfolio",
    _NAME,
    "The name or the id of a portfolio that was imported before.",
    "Aldermoor Family",
    may_be_stated=True,
)
_KNOWN_TICKER = FileColumn("ticker", _TICKER, "The ticker of a security that was imported before.", "KELP")

SECURITIES = FileKind(
    "securities",
    "Securities",
    (
        FileColumn(
            "security_id",
            cells.record_id(r"[A-Za-z0-9]{24}", _ALNUM_24),
            f"{_ALNUM_24.capitalize()}. Left out, the ticker says which security is meant, and a new one gets an id.",
            "5f0c1e2ab4d97c3e8a61d204",
            required=False,
            may_be_empty=True,
        ),
        FileColumn("ticker", _TICKER, "At most 20 characters; each ticker belongs to one security.", "KELP"),
        FileColumn("name", _NAME, "At most 255 characters; may be empty.", "Kelp Foods", may_be_empty=True),
    ),
    "Adds new securities and renames known ones. With an id in the row, the ticker may change too. None is removed.",
    (
        "5f0c1e2ab4d97c3e8a61d204,KELP,Kelp Foods",
        ',RUNE,"Rune, Oar & Sons"',
    ),
)
PRICES = FileKind(
    "prices",
    "Prices",
    (
        FileColumn("date", cells.past_date, "Year-month-day, not in the future.", "2026-11-20", holds="day"),
        _KNOWN_TICKER,
        FileColumn(
            "close",
            cells.amount(positive=True),
            "Closing price, above zero, at most 4 decimals.",
            "41.25",
            holds="number",
        ),
    ),
    "Adds prices and corrects the ones of the same security and date. None is removed.",
    (
        "2026-11-20,KELP,41.25",
        "2026-11-20,RUNE,8.1",
    ),
)
PORTFOLIOS = FileKind(
    "portfolios",
    "Portfolios",
    (
        FileColumn(
            "portfolio_id",
            cells.record_id(r"[0-9a-f]{24}", _HEX_24),
            f"{_HEX_24.capitalize()}. Left out, the name says which portfolio is meant, and a new one gets an id.",
            "6740c3d19b2f4e0a1c8d7e55",
            required=False,
            may_be_empty=True,
        ),
        FileColumn("name", _NAME, "At most 255 characters; each name belongs to one portfolio.", "Aldermoor Family"),
        FileColumn(
            "cash", cells.amount(), "Cash, at most 4 decimals; negative when overdrawn.", "12500.00", holds="number"
        ),
    ),
    "Adds new portfolios and sets the cash of known ones. With an id in the row, the name may change too. "
    "None is removed.",
    (
        "6740c3d19b2f4e0a1c8d7e55,Aldermoor Family,12500.00",
        ",Bell Foundation,-310.5",
    ),
)
HOLDINGS = FileKind(
    "holdings",
    "Holdings",
    (
        _PORTFOLIO,
        _KNOWN_TICKER,
        FileColumn(
            "quantity",
            cells.amount(),
            "Shares held, at most 4 decimals; negative when sold short, 0 for none.",
            "350",
            holds="number",
        ),
    ),
    "Replaces all holdings of each portfolio in the file: what it holds and the file does not name is removed. "
    "Other portfolios stay as they are.",
    (
        "Aldermoor Family,KELP,350",
        "Aldermoor Family,RUNE,12.5",
        "Bell Foundation,KELP,0",
    ),
)
LOTS = FileKind(
    "lots",
    "Tax lots",
    (
        _PORTFOLIO,
        _KNOWN_TICKER,
        FileColumn(
            "reference",
            cells.text(50),
            "At most 50 characters; names a lot within its holding. Left out, the day does: 2024-03-08, 2024-03-08/2.",
            "A-1041",
            required=False,
            may_be_empty=True,
        ),
        FileColumn("acquired_on", cells.past_date, "Year-month-day, not in the future.", "2024-03-08", holds="day"),
        FileColumn(
            "quantity",
            cells.amount(negative=False),
            "Shares of the lot that are still held, at most 4 decimals; 0 for a lot that is sold.",
            "200",
            holds="number",
        ),
        FileColumn(
            "cost", cells.amount(negative=False), "Cost of one share, at most 4 decimals.", "36.40", holds="number"
        ),
    ),
    "Replaces all tax lots of each portfolio in the file; other portfolios stay as they are. The lots of a holding "
    "have to add up to it: where they do not, what a sale gains is unknown, and a gain budget cannot be kept.",
    (
        "Aldermoor Family,KELP,A-1041,2024-03-08,200,36.40",
        "Aldermoor Family,KELP,A-2377,2025-11-14,150,43.1",
        "Aldermoor Family,RUNE,A-1102,2024-06-21,12.5,7.95",
    ),
)
MODELS = FileKind(
    "models",
    "Models",
    (
        FileColumn("model", _NAME, "The name of the model, on each of its rows.", "Balanced Growth"),
        FileColumn(
            "ticker",
            cells.text(24),
            "On a position's row: the security's ticker (or its id). Empty on a portfolio's row.",
            "KELP",
            may_be_empty=True,
        ),
        FileColumn("target", cells.weight, f"Target weight {_FRACTION}.", "0.025", may_be_empty=True, holds="weight"),
        FileColumn(
            "low_drift",
            cells.weight,
            f"Band below the target, {_FRACTION}.",
            "0.005",
            may_be_empty=True,
            holds="weight",
        ),
        FileColumn(
            "high_drift",
            cells.weight,
            f"Band above the target, {_FRACTION}.",
            "0.010",
            may_be_empty=True,
            holds="weight",
        ),
        FileColumn(
            "portfolio",
            _NAME,
            "On a portfolio's row: the name (or id) of a portfolio that follows the model. Empty on a position's row.",
            "",
            may_be_empty=True,
        ),
    ),
    "Each row is either a position (ticker, target, low_drift, high_drift) or a portfolio that follows the model. "
    "Replaces the content of each model in the file and saves a new version where it differs; other models stay.",
    (
        "Balanced Growth,KELP,0.025,0.005,0.01,",
        "Balanced Growth,RUNE,0.5,0.02,0.02,",
        "Balanced Growth,,,,,Aldermoor Family",
        "Balanced Growth,,,,,Bell Foundation",
    ),
)

KINDS: dict[str, FileKind] = {kind.name: kind for kind in (SECURITIES, PRICES, PORTFOLIOS, HOLDINGS, LOTS, MODELS)}


def get_kind(name: str) -> FileKind:
    """The kind of that name; raises NotFoundError naming the ones that exist."""
    if name not in KINDS:
        raise NotFoundError(f"There is no import of {name[:40]!r}; there are {', '.join(KINDS)}.")
    return KINDS[name]


def is_kept_elsewhere(kind: FileKind) -> bool:
    """Whether other services keep what a file of this kind holds, so that nothing of it is written here."""
    return kind.name != "models" and get_source().is_remote
