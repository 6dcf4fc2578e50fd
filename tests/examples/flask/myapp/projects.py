"""``/projects``: the code under test."""

from flask import Blueprint, request
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from myapp.models import Project, db

blueprint = Blueprint("projects", __name__, url_prefix="/projects")


# --8<-- [start:add]
@blueprint.post("")
def add():
    """Store a project; a name that is taken is a conflict."""
    db.session.add(Project(name=request.json["name"]))
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return {"error": "this name is taken"}, 409
    return {"name": request.json["name"]}, 201


# --8<-- [end:add]


@blueprint.get("")
def index():
    """The names of all projects."""
    return {"names": list(db.session.scalars(select(Project.name).order_by(Project.name)))}
