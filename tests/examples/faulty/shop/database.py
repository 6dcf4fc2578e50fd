"""The application's engine and session maker, bound to its own URL at import."""

import os

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

URL = os.environ.get("DATABASE_URL", "postgresql+psycopg2://shop@localhost/shop")
engine = create_engine(URL)
SessionLocal = sessionmaker(engine)
