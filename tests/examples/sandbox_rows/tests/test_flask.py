"""Flask-SQLAlchemy: every bind, in any application context, without one pushed by the kit."""

import pytest
from shop.models import Item
from shop.web import Entry, Report, create_app, db
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError


def test_a_request_commits_to_all_binds(pg, db_session):
    """One commit of db.session reaches three databases, and nobody outside sees it."""
    app = create_app()
    response = app.test_client().post("/items/lamp")

    assert response.status_code == 200
    assert db_session.scalar(select(Item.name)) == "lamp"
    with app.app_context():
        assert db.session.scalar(select(Report.title)) == "lamp"
        assert db.session.scalar(select(Entry.text)) == "added lamp"
    assert pg.outside("select count(*) from items") == 0
    assert pg.outside("select count(*) from report", of="reports") == 0
    assert pg.outside("select count(*) from entry", of="audit") == 0


def test_an_error_in_one_bind_undoes_them_all():
    """db.session.rollback() rolls back every bind; what was committed before stays in each."""
    app = create_app()
    app.test_client().post("/items/lamp")
    with app.app_context():
        db.session.add_all([Report(title="chair"), Entry(text="added chair"), Item(name="lamp")])
        with pytest.raises(IntegrityError):
            db.session.commit()
        db.session.rollback()

        assert db.session.scalar(select(func.count(Item.id))) == 1
        assert db.session.scalar(select(func.count(Report.id))) == 1
        assert db.session.scalar(select(func.count(Entry.id))) == 1


def test_two_applications_share_the_test(db_session):
    """A second application, made by the same test, has engines of its own and the same data."""
    create_app().test_client().post("/items/lamp")
    create_app().test_client().post("/items/chair")

    assert db_session.scalar(select(func.count(Item.id))) == 2
