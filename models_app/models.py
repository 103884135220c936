"""The book (securities, prices, portfolios, holdings, tax lots) and the investment models with their history."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from ordergen.db import object_id


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
    close = models.DecimalField(max_digits=15, decimal_places=4)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["security", "date"], name="one_price_per_security_and_date"),)
        indexes = (models.Index(fields=["date"]),)

    def __str__(self) -> str:
        return f"{self.security_id} {self.date} {self.close}"


class Portfolio(models.Model):
    """Money and what it is invested in."""

    id = models.CharField(primary_key=True, max_length=24, default=object_id)
    name = models.CharField(max_length=255, unique=True)
    cash = models.DecimalField(max_digits=15, decimal_places=4, default=0)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Holding(models.Model):
    """How much of a security a portfolio owns; negative when sold short, fractional when upstream says so."""

    id = id_field()
    portfolio = models.ForeignKey(Portfolio, models.PROTECT, related_name="holdings")
    security = models.ForeignKey(Security, models.PROTECT, related_name="+")
    quantity = models.DecimalField(max_digits=15, decimal_places=4)

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
    quantity = models.DecimalField(max_digits=15, decimal_places=4)
    cost = models.DecimalField(max_digits=15, decimal_places=4)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["portfolio", "security", "reference"], name="one_lot_per_reference"),
            models.CheckConstraint(condition=models.Q(quantity__gt=0), name="a_lot_has_shares"),
            models.CheckConstraint(condition=models.Q(cost__gte=0), name="a_lot_has_no_negative_cost"),
        )

    def __str__(self) -> str:
        return f"{self.portfolio_id} {self.security_id} {self.reference}"


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
    low_drift = models.DecimalField(max_digits=7, decimal_places=6)
    high_drift = models.DecimalField(max_digits=7, decimal_places=6)

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
