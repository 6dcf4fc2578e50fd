"""The engine and the session maker of production, made when this module is imported."""

# --8<-- [start:engine]
import os

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

URL = os.environ.get("DATABASE_URL", "postgresql+psycopg2://shop@localhost/shop")
engine = create_engine(URL)
SessionLocal = sessionmaker(engine)
# --8<-- [end:engine]
