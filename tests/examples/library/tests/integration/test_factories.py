"""What a factory does with the database."""

from library.models import Author

from pgsandbox.factories import Factory
from tests.integration.factories import BookFactory


# --8<-- [start:get-or-create]
class TheAuthorFactory(Factory):
    """The author of that name: found, or made."""

    class Meta:
        model = Author
        sqlalchemy_get_or_create = ("name",)

    name = "Anonymous"


def test_the_second_call_finds_what_the_first_one_made(db_session):
    """The row is looked up by its name, and made inside a savepoint where it is not there."""
    assert TheAuthorFactory() is TheAuthorFactory()


# --8<-- [end:get-or-create]


# --8<-- [start:sequence]
def test_sequences_begin_at_zero(db_session):
    """In every test, in any order, so that a failing test repeats."""
    assert BookFactory().title == "Book 0"
    assert BookFactory().title == "Book 1"


# --8<-- [end:sequence]
