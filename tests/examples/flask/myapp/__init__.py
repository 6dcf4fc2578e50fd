"""A Flask application as most are: a factory, one `db` for all modules, a blueprint."""

from flask import Flask

from myapp.models import db
from myapp.projects import blueprint


# --8<-- [start:factory]
def create_app(**config):
    """The application; *config* wins over what production sets."""
    app = Flask("myapp")
    app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg2://myapp@localhost/myapp"
    app.config.update(config)
    db.init_app(app)
    app.register_blueprint(blueprint)
    return app


# --8<-- [end:factory]
