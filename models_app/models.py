"""The book (securities, prices, portfolios, holdings, tax lots) and the investment models with their history."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from models_app.portfolio.units import COLUMN_DIGITS, MONEY_PLACES, WEIGHT_PLACES
from ordergen.core.ids import object_id


def id_field() -> models.CharField[str, str]:
    return models.CharField(primary_key=True, max_length=24, default=object_id, editable=False)


class Security(models.Model):
    id = models.CharField(primary_key=True, max_length=24, default=object_id)
    ticker = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering = ("ticker",)
        verbose_name_plural = "securities"

    def __str__(self) -> str:
        return self.ticker


class Price(models.Model):
    """A closing price; the latest one by date values a holding."""

    id = id_field()
    security = models.ForeignKey(Security, models.PROTECT, related_name="prices")
    date = models.DateField()
    close = models.DecimalField(max_digits=COLUMN_DIGITS, decimal_places=MONEY_PLACES)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["security", "date"], name="one_price_per_security_and_date"),)
        indexes = (models.Index(fields=["date"]),)

    def __str__(self) -> str:
        return f"{self.security_id} {self.date} {self.close}"


class Portfolio(models.Model):
    """Money and what it is invested in."""

    id = models.CharField(primary_key=True, max_length=24, default=object_id)
    name = models.CharField(max_length=255, unique=True)
    cash = models.DecimalField(max_digits=COLUMN_DIGITS, decimal_places=MONEY_PLACES, default=0)
    # When somebody last said what it holds, and what cash it has, changed or not.
    holdings_stated_at = models.DateTimeField(null=True, blank=True)
    cash_stated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Holding(models.Model):
    """How much of a security a portfolio owns; negative when sold short, fractional when upstream says so."""

    id = id_field()
    portfolio = models.ForeignKey(Portfolio, models.PROTECT, related_name="holdings")
    security = models.ForeignKey(Security, models.PROTECT, related_name="+")
    quantity = models.DecimalField(max_digits=COLUMN_DIGITS, decimal_places=MONEY_PLACES)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["portfolio", "security"], name="one_holding_per_security"),)

    def __str__(self) -> str:
        return f"{self.portfolio_id} {self.security_id} {self.quantity}"


class TaxLot(models.Model):
    """Shares of a holding that were bought at one cost; `cost` is per share, `reference` is what upstream calls it."""

    id = id_field()
    portfolio = models.ForeignKey(Portfolio, models.PROTECT, related_name="+", db_index=False)
    security = models.ForeignKey(Security, models.PROTECT, related_name="+")
    reference = models.CharField(max_length=50)
    acquired_on = models.DateField()
    quantity = models.DecimalField(max_digits=COLUMN_DIGITS, decimal_places=MONEY_PLACES)
    cost = models.DecimalField(max_digits=COLUMN_DIGITS, decimal_places=MONEY_PLACES)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["portfolio", "security", "reference"], name="one_lot_per_reference"),
            models.CheckConstraint(condition=models.Q(quantity__gt=0), name="a_lot_has_shares"),
            models.CheckConstraint(condition=models.Q(cost__gte=0), name="a_lot_has_no_negative_cost"),
        )

    def __str__(self) -> str:
        return f"{self.portfolio_id} {self.security_id} {self.reference}"


class OtherName(models.Model):
    """A word by which files call a security or a portfolio that the book knows by another one."""

    id = id_field()
    of = models.CharField(max_length=10)  # "security" or "portfolio"
    word = models.CharField(max_length=600)  # in the form in which names are compared
    written = models.CharField(max_length=255)  # as it stood in the file
    record_id = models.CharField(max_length=24)
    noted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    noted_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["of", "word"], name="a_word_means_one_thing"),)

    def __str__(self) -> str:
        return f"{self.written} is {self.of} {self.record_id}"


class FileLayout(models.Model):
    """How the firm reads files of one shape. reading/known_layouts.py says what header and answers hold."""

    id = id_field()
    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=20)
    header = models.JSONField()
    answers = models.JSONField()
    saved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    saved_at = models.DateTimeField()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class InvestmentModel(models.Model):
    """Target weights with bands, and the portfolios that follow them.

    `version` rises by one with every change of content, conditionally on the version the editor saw.
    """

    id = id_field()
    name = models.CharField(max_length=255, unique=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    last_rebalance_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class ModelPosition(models.Model):
    """One security's place in a model. Securities and portfolios are named by id, for the book may live elsewhere."""

    id = id_field()
    model = models.ForeignKey(InvestmentModel, models.CASCADE, related_name="positions")
    security_id = models.CharField(max_length=24, db_index=True)
    target = models.DecimalField(max_digits=4, decimal_places=3)
    low_drift = models.DecimalField(max_digits=WEIGHT_PLACES + 1, decimal_places=WEIGHT_PLACES)
    high_drift = models.DecimalField(max_digits=WEIGHT_PLACES + 1, decimal_places=WEIGHT_PLACES)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["model", "security_id"], name="a_security_once_per_model"),)

    def __str__(self) -> str:
        return f"{self.security_id} {self.target}"


class ModelPortfolio(models.Model):
    """A portfolio subscribed to a model."""

    id = id_field()
    model = models.ForeignKey(InvestmentModel, models.CASCADE, related_name="portfolios")
    portfolio_id = models.CharField(max_length=24, db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["model", "portfolio_id"], name="a_portfolio_once_per_model"),)

    def __str__(self) -> str:
        return self.portfolio_id


class ModelVersion(models.Model):
    """What a model said at one version, who saved it and why. Written once, never changed; survives its model."""

    id = id_field()
    model_id = models.CharField(max_length=24, db_index=True)
    version = models.PositiveIntegerField()
    content = (
        models.JSONField()
    )  # {"name": …, "positions": [{security_id, target, low_drift, high_drift}], "portfolios": [ids]}
    saved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    saved_at = models.DateTimeField()
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-version",)
        constraints = (models.UniqueConstraint(fields=["model_id", "version"], name="a_version_once_per_model"),)

    def __str__(self) -> str:
        return f"{self.model_id} v{self.version}"


class DriftFigures(models.Model):
    """How a portfolio stands against a model it follows ("" for none), as last computed; what lists are made from.

    `changed` is the mark of a change that the figures do not know yet, written with the change itself; None: they are
    what the live computation would say now. Money and weights are exact in `told`; the floats beside it only sort.
    """

    id = id_field()
    portfolio_id = models.CharField(max_length=24)
    portfolio_name = models.CharField(max_length=255)
    portfolio_key = models.CharField(max_length=600)  # the name in lower case, to sort and search by on any database
    model_id = models.CharField(max_length=24, blank=True)
    model_name = models.CharField(max_length=255, blank=True)
    model_key = models.CharField(max_length=600, null=True)  # noqa: DJ001  None sorts last: it follows no model
    changed = models.CharField(max_length=24, null=True)  # noqa: DJ001  None is not ""
    computed_at = models.DateTimeField(null=True)  # of what is shown; None: never
    model_version = models.PositiveIntegerField(null=True)
    state = models.CharField(max_length=12, default="not_computed")
    state_order = models.IntegerField(default=0)
    low_cash = models.CharField(max_length=8, blank=True)  # "low", "negative" or nothing
    worst_ticker = models.CharField(max_length=255, null=True)  # noqa: DJ001  as below: None is unknown and sorts last
    drift = models.FloatField(null=True)  # of the worst position, signed
    use = models.FloatField(null=True)
    total = models.FloatField(null=True)  # drift, of market value
    cash = models.FloatField(null=True)  # of market value
    value = models.FloatField(null=True)
    prices_of = models.DateField(null=True)
    n_unpriced = models.IntegerField(default=0)
    unpriced = models.TextField(blank=True)  # ids of securities that lack a price, separated by spaces
    told = models.JSONField(default=dict)  # see models_app/drift_index/document.py
    lines = models.BinaryField(default=bytes)  # drift and state of each position of the model, packed

    class Meta:
        constraints = (models.UniqueConstraint(fields=["portfolio_id", "model_id"], name="one_row_per_pair"),)
        indexes = (
            models.Index(fields=["changed", "model_id", "id"]),
            models.Index(fields=["model_id", "changed", "computed_at"]),
            models.Index(fields=["state", "low_cash"]),
            models.Index(fields=["model_id", "state", "low_cash"]),
            models.Index(fields=["model_id", "use"]),
            models.Index(fields=["prices_of"]),
            models.Index(fields=["n_unpriced"]),
            *(
                models.Index(fields=[key, "id"])
                for key in (
                    "portfolio_key", "model_key", "state_order", "worst_ticker", "drift", "use", "total", "cash",
                    "value",
                )
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return f"{self.portfolio_name} {self.model_name}"

    @property
    def is_old(self) -> bool:
        """Whether something has changed that the figures do not know."""
        return self.changed is not None


class ModelFigures(models.Model):
    """What the portfolios of a model come to: their value, and for each position how many are outside its band."""

    model_id = models.CharField(primary_key=True, max_length=24)
    changed = models.CharField(max_length=24, null=True, db_index=True)  # noqa: DJ001  as in DriftFigures
    told = models.JSONField(default=dict)  # market_value, positions: {security id: [over, under, median drift]}

    def __str__(self) -> str:
        return self.model_id


class FiguresRefresh(models.Model):
    """The one row that says who refreshes the figures, on what they rest as a whole, and what went wrong."""

    id = models.CharField(primary_key=True, max_length=8, default="firm")
    basis = models.CharField(max_length=100, blank=True)  # source and settings; other ones make every figure old
    token = models.CharField(max_length=24, blank=True)
    lease_until = models.DateTimeField(null=True)  # while somebody is at it
    listed_at = models.DateTimeField(null=True)  # when the whole book was last looked through for portfolios
    fault = models.CharField(max_length=500, blank=True)  # why the last refresh ended before its end

    def __str__(self) -> str:
        return f"{self.id} {self.basis}"
