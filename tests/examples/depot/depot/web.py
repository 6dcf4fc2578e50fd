"""The counter: ``POST /parcels/<code>``, and a page with all of them."""

from flask import Flask
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from depot.models import Parcel
from depot.settings import database_url

engine = create_engine(database_url())
app = Flask("depot")


@app.post("/parcels/<code>")
def add(code):
    """Store one parcel."""
    with Session(engine) as session:
        session.add(Parcel(code=code))
        session.commit()
    return "", 201


@app.get("/")
def index():
    """The codes, one on each line."""
    with Session(engine) as session:
        return "\n".join(session.scalars(select(Parcel.code).order_by(Parcel.code)))
