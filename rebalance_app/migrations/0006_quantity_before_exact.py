from django.db import migrations

import ordergen.core.exact_decimal


def respell(apps, schema_editor):
    ordergen.core.exact_decimal.respell(schema_editor, apps.get_model("rebalance_app", "Order"), "quantity_before")


class Migration(migrations.Migration):
    dependencies = [
        ("rebalance_app", "0005_without_pattern_indexes"),
    ]

    operations = [
        migrations.AlterField(
            model_name="order",
            name="quantity_before",
            field=ordergen.core.exact_decimal.ExactDecimalField(decimal_places=10, max_digits=21),
        ),
        migrations.RunPython(respell, migrations.RunPython.noop, elidable=True),
    ]
