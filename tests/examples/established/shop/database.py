"""The engine, made when this module is imported."""

# --8<-- [start:engine]
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

URL = "postgresql+psycopg2://shop:secret@localhost:5432/shop"
engine = create_engine(URL, pool_pre_ping=True)
SessionLocal = sessionmaker(engine)
# --8<-- [end:engine]
