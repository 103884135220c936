import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import ordergen.core.ids
import rebalance_app.models


class WidenOnPostgres(migrations.AlterField):
    """Widens a column where the database keeps to its width: SQLite does not, and would copy a million orders."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    dependencies = [
        ("rebalance_app", "0006_quantity_before_exact"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField("order", "known_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("order", "quantity_done", models.PositiveBigIntegerField(blank=True, null=True)),
        WidenOnPostgres(
            "order",
            "state",
            models.CharField(max_length=20, choices=rebalance_app.models.OrderState, default="proposed"),
        ),
        migrations.AddIndex(
            "order",
            models.Index(
                condition=models.Q(quantity_done__isnull=False),
                fields=["portfolio_id", "known_at"],
                name="orders_of_which_some_is_done",
            ),
        ),
        migrations.AddField("rebalance", "n_ended", models.PositiveIntegerField(default=0)),
        migrations.AddField("rebalance", "n_outdated", models.PositiveIntegerField(default=0)),
        migrations.AddField(
            "rebalance",
            "open_orders",
            models.CharField(max_length=10, choices=rebalance_app.models.OpenOrders, default="ignore"),
        ),
        migrations.CreateModel(
            name="OrderMove",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=ordergen.core.ids.object_id,
                        editable=False,
                        max_length=24,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("state_before", models.CharField(choices=rebalance_app.models.OrderState, max_length=20)),
                ("state_after", models.CharField(choices=rebalance_app.models.OrderState, max_length=20)),
                ("moved_at", models.DateTimeField()),
                ("quantity_done", models.PositiveBigIntegerField(blank=True, null=True)),
                ("reason", models.CharField(blank=True, max_length=500)),
                (
                    "moved_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="moves", to="rebalance_app.order"
                    ),
                ),
            ],
        ),
    ]
