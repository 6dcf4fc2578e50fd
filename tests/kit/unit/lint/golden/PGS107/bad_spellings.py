import pytest
import sqlalchemy_utils
from psycopg2 import sql
from sqlalchemy import text
from sqlalchemy_utils import database_exists as is_there

NAME = "shop_test"


@pytest.fixture(scope="session")
async def database(engine, cursor, connection, url):
    await connection.execute(text(f"DROP DATABASE IF EXISTS {NAME}"))
    await connection.execute(text("create database shop_test"))
    cursor.execute("CREATE DATABASE " + NAME)
    cursor.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(NAME)))
    engine.connect().exec_driver_sql("\n  drop database shop_test")
    if is_there(url):
        sqlalchemy_utils.drop_database(url)
