"""Any column sorts both ways, from the address alone, and a page begins behind the row that the last one ended with."""

from django.http import QueryDict

from ordergen.web.tables import Column, Pages, Table

ROWS = [("b", 2), ("a", None), ("c", 1), ("d", 3)]
COLUMNS = (
    Column("name", "Name", lambda row: row[0]),
    Column("n", "Number", lambda row: row[1], numeric=True, first="-"),
    Column("picture", "Picture"),
)


def table(query="", **more):
    return Table(ROWS, COLUMNS, QueryDict(query), default="-n", **more)


def names(made):
    return "".join(row[0] for row in made.rows)


def test_it_sorts_by_the_default_then_by_what_the_address_asks():
    assert names(table()) == "dbca"
    assert names(table("sort=name")) == "abcd"
    assert names(table("sort=-name")) == "dcba"


def test_unknown_values_come_last_in_either_direction():
    assert names(table("sort=n")) == "cbda"
    assert names(table("sort=-n")) == "dbca"


def test_a_column_that_does_not_exist_or_does_not_sort_gives_the_default():
    for query in ("sort=nonsense", "sort=picture", "sort=", "sort=--n"):
        assert names(table(query)) == "dbca"


def test_a_heading_links_to_its_order_and_keeps_the_filters():
    name, number, picture = table("q=x&after=b&sort=-n").headings
    assert (name.direction, name.href) == ("", "?q=x&sort=name")
    assert (number.direction, number.href) == ("descending", "?q=x&sort=n")
    assert picture.href == ""


def test_pages_follow_each_other_by_key():
    threes = Pages(lambda row: row[0], 3)
    first = table("sort=name", pages=threes)
    assert (names(first), first.next_href, first.start_href) == ("abc", "?sort=name&after=c", "")
    second = table("sort=name&after=c", pages=threes)
    assert (names(second), second.next_href, second.start_href) == ("d", "", "?sort=name")
    assert (second.first, second.last, second.total) == (4, 4, 4)


def test_a_key_that_is_gone_begins_at_the_top():
    assert names(table("sort=name&after=zzz", pages=Pages(lambda row: row[0], 2))) == "ab"
