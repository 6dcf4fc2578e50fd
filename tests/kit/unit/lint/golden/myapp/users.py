from flask import session as cookie
from sqlalchemy import select
from sqlalchemy.orm import Session

from myapp.extensions import db
from myapp.models import User


class UserRepository:
    def __init__(self, session: Session) -> None:
        self.session = session

    def find(self, name):
        return self.session.scalar(select(User).where(User.name == name))


def register(name):
    db.session.add(User(name=name))
    db.session.commit()


def import_users():
    cookie["users"] = 3
