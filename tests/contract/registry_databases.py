"""Fixtures: the registry on each database it supports, fresh for every test.

`tests.conftest` makes them known to every test.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from api.registry.database import database_url, migrate, open_engine
from tests.servers.launch import HttpServer

DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.server("postgres")))

_number = itertools.count(1)


def _new_postgres_database(server: HttpServer, template: str) -> str:
    name = f"registry_{next(_number)}"
    admin = create_engine(server.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    admin.dispose()
    return make_url(server.url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: HttpServer) -> str:
    """Name of a PostgreSQL database with all tables, to be copied."""
    url = _new_postgres_database(postgres_server, "template0")
    engine = open_engine(url)
    migrate(engine)
    engine.dispose()
    return make_url(url).database or ""


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without tables."""
    if request.param == "sqlite":
        return database_url(tmp_path / "state")
    return _new_postgres_database(request.getfixturevalue("postgres_server"), "template0")


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A registry with all tables and no facts."""
    if request.param == "sqlite":
        opened = open_engine(database_url(tmp_path / "state"))
        migrate(opened)
    else:
        template = request.getfixturevalue("migrated_template")
        server = request.getfixturevalue("postgres_server")
        opened = open_engine(_new_postgres_database(server, template))
    yield opened
    opened.dispose()
