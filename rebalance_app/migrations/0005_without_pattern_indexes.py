from django.db import migrations

TABLES = ("Order", "PortfolioRebalance", "Decision")


def drop(apps, schema_editor):
    """Of the tables that a run fills. Django gives each text key on PostgreSQL a second index, for LIKE 'x%', which no
    query of ours asks of an id; every row paid for it."""
    if schema_editor.connection.vendor != "postgresql":
        return
    tables = [apps.get_model("rebalance_app", name)._meta.db_table for name in TABLES]
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = ANY(%s)"
            " AND indexdef LIKE '%%varchar_pattern_ops%%'",
            [tables],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX {schema_editor.quote_name(name)}")


class Migration(migrations.Migration):
    dependencies = [
        ("rebalance_app", "0004_reading_a_million_orders"),
    ]

    operations = [
        migrations.RunPython(drop, migrations.RunPython.noop),
    ]
