"""A shop whose requests forget to commit."""

from flask import Flask

from shop.models import db
from shop.orders import blueprint


def create_app():
    """The application, as production starts it."""
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg2://shop@localhost/shop"
    db.init_app(app)
    app.register_blueprint(blueprint)
    return app
