import pytest
from sqlalchemy_utils import create_database, drop_database


# --8<-- [start:bad]
@pytest.fixture(scope="session", autouse=True)
def database():
    create_database("postgresql+psycopg2://localhost/shop_test")
    yield
    drop_database("postgresql+psycopg2://localhost/shop_test")
# --8<-- [end:bad]
