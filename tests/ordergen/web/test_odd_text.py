"""A NUL in an address or a form: SQLite would take it, PostgreSQL would not."""

import pytest

pytestmark = pytest.mark.django_db
PLACES = ["/orders/%00/", "/rebalances/%00/", "/rebalances/x%00/portfolios/y/", "/models/%00/", "/portfolios/%00/"]
QUESTIONS = ["/rebalances/new?model=%00", "/models/?q=%00", "/orders/?ticker=a%00", "/audit/?action=%00"]
FORMS = [{"order": "\0", "verdict": "approved"}, {"run": "\0", "verdict": "rejected", "comment": "no"}]


@pytest.fixture
def everyone(client, person):
    client.force_login(person("manager", "approver", "auditor", name="all"))
    return client


@pytest.mark.parametrize("path", PLACES)
def test_there_is_no_such_place(everyone, path):
    assert everyone.get(path).status_code == 404


@pytest.mark.parametrize("path", QUESTIONS)
def test_a_question_with_it_is_refused_in_words(everyone, path):
    answer = everyone.get(path)

    assert answer.status_code == 422
    assert "NUL" in answer.content.decode()


def test_it_is_told_at_the_field_and_what_was_typed_stays(everyone):
    model = everyone.post("/models/new/", {"name": "Half\0typed", "reason": "first", "do": "save"}).content.decode()

    assert "A name has no control characters" in model
    assert 'value="Half\0typed"' in model


@pytest.mark.parametrize("field", ["security", "target", "low", "high", "reason"])
def test_a_cell_of_the_model_editor_tells_it_at_its_field(everyone, field):
    typed = {"name": "New", "reason": "first", "security": "ABC", "target": "5", "low": "1", "high": "1"}
    answer = everyone.post("/models/new/", typed | {field: "5\0", "do": "save"})

    assert answer.status_code == 422
    assert f'href="#{field}' in answer.content.decode()
    assert 'value="5\0"' in answer.content.decode()
    assert everyone.post("/x/models/check/", typed | {field: "5\0"}).status_code == 200, "while it is typed, too"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", ["/orders/decision", "/orders/review"])
def test_a_form_with_it_changes_nothing(everyone, path, form):
    assert everyone.post(path, form).status_code == 422
