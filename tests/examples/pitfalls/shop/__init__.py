"""A shop with the faults that integration tests find first; each of its tests fails for one."""

from flask import Flask

from shop.models import db
from shop.orders import blueprint


def create_app(**config):
    """The application; *config* wins over what production sets."""
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg2://shop@localhost/shop"
    app.config.update(config)
    db.init_app(app)
    app.register_blueprint(blueprint)
    return app
