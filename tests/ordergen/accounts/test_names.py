"""Names of people: compared in one form, and none that passes for another's."""

import pytest
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from ordergen.accounts.models import User
from ordergen.accounts.names import MAX_LENGTH
from ordergen.accounts.services import user_create
from ordergen.core.errors import ConflictError, InvalidInputError

PASSWORD = "plough-copper-lantern"


def create(name: str) -> User:
    return user_create(username=name, password=PASSWORD, roles=["viewer"])


@pytest.mark.parametrize("name", ["maya", "MAYA", "Ｍａｙａ", "Мауа", "mауa", "mаya"])
def test_a_name_that_is_or_looks_like_somebody_s_is_refused(db, name):
    create("Maya")
    with pytest.raises((ConflictError, InvalidInputError)) as refused:
        create(name)
    assert set(refused.value.fields) == {"username"}
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    "name",
    [
        "mаya",  # the second letter is Cyrillic
        "μaya",
        "",
        "two words",
        "x" * (MAX_LENGTH + 1),
        "ﷺ" * 20,
        "\u1160\u1160",
        "٣٤",
        "maya\u200b",
        "maya\u202e",
        "<script>",
        "API",
        "system",
        "ma\x00ya",
        "\ud800",
    ],
)
def test_a_name_that_cannot_be_told_apart_or_read_is_refused_at_its_field(db, name):
    with pytest.raises(InvalidInputError) as refused:
        create(name)
    assert set(refused.value.fields) == {"username"}


@pytest.mark.parametrize("name", ["maya", "Müller", "Мария", "Ελένη", "山田はなこ", "김민수", "o.brien+desk@firm-2_b"])
def test_a_name_in_any_one_script_is_welcome(db, name):
    assert User.objects.get_by_natural_key(create(name).username.upper()).username == name


def test_the_tables_themselves_hold_two_names_apart(db):
    create("Maya")
    with pytest.raises(IntegrityError), transaction.atomic():
        User(username="MAYA", password="!").save()


@pytest.mark.django_db(transaction=True)
def test_two_people_of_one_name_from_before_names_were_compared_both_stay_and_sign_in_as_before(client, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    executor = MigrationExecutor(connection)
    before = executor.migrate([("accounts", "0002_api_keys")]).apps.get_model("accounts", "User")
    before.objects.create(id="a" * 24, username="Maya", password=make_password("of the first"), roles=["manager"])
    before.objects.create(id="b" * 24, username="MAYA", password=make_password("of the second"), roles=["approver"])
    before.objects.create(id="c" * 24, username="Daniel", password=make_password("daniel"), roles=["admin"])
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())

    def enters(name, password):
        entered = client.post("/signin/", {"username": name, "password": password}).status_code == 302
        client.post("/signout/")
        return entered

    assert enters("Maya", "of the first")
    assert enters("maya", "of the first")
    assert enters("MAYA", "of the second")
    assert not enters("maya", "of the second")
    assert enters("daniel", "daniel")
    with pytest.raises(ConflictError):
        create("mAYA")
    client.force_login(User.objects.get(username="Daniel"))
    assert "only in their case: MAYA." in " ".join(client.get("/settings/people/").content.decode().split())
