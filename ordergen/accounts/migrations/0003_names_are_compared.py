"""Gives everybody's name the form in which names are compared.

Two people whose names differ only in that (Maya and MAYA) both stay and sign in as before: the first of them has the
form, the other answers to exactly the name that was given. The page of people tells administrators of them.
"""

import logging

from django.db import migrations, models

import ordergen.accounts.models
from ordergen.accounts.names import MAX_LENGTH, canonical

logger = logging.getLogger(__name__)


def compare(apps, _editor):
    User = apps.get_model("accounts", "User")
    taken = set()
    for user in User.objects.order_by("date_joined", "pk").only("pk", "username"):
        form = canonical(user.username)
        if form in taken or len(form) > MAX_LENGTH:
            logger.warning("The name %s is somebody's already in another case; see People.", user.username)
            continue
        taken.add(form)
        User.objects.filter(pk=user.pk).update(canonical=form)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_api_keys"),
    ]

    operations = [
        migrations.AlterModelManagers(name="user", managers=[("objects", ordergen.accounts.models.People())]),
        migrations.AddField(
            model_name="user",
            name="canonical",
            field=models.CharField(editable=False, max_length=150, null=True, unique=True),
        ),
        migrations.RunPython(compare, migrations.RunPython.noop, elidable=False),
    ]
