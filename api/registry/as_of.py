"""What was known at a moment, and the same as columns for the analytics core.

A fact is a set of versions with one `source` and `key`; the version that counts at a moment is
the newest recorded by then. Everything analytical reads facts through `known`, so that any past
answer can be had again.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import Boolean, Date, Float, Integer, Select, exists, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from api.registry.models import Fact, UtcDateTime

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

F = TypeVar("F", bound=Fact)
Column = npt.NDArray[Any]


def known(model: type[F], as_of: datetime | None = None) -> Select[F]:
    """Select of each fact the version that was known at a moment.

    The answer is an ordinary select of `model`: add ``where``, ``order_by`` or a join as usual.
    Filters act on the version that counts, not on the versions it replaced.

    Parameters
    ----------
    model : type of Fact
        Table of facts.
    as_of : datetime, optional
        Versions recorded later are not seen. None means everything known today.

    Returns
    -------
    Select
        One row for each source and key known by then.

    Examples
    --------
    >>> from api.registry.models import Visit
    >>> open_visits = known(Visit).where(Visit.is_resolved.is_(False))
    """
    # "No newer version" rather than a rank over all versions: the answer is the same, because a
    # source, key and recorded_at name one version, and a filter on a few machines then looks up a
    # few versions in the index instead of ranking the whole table (one machine of 500: 50 times
    # faster on SQLite and on PostgreSQL).
    newer = aliased(model)
    is_replaced = exists().where(
        newer.source == model.source,
        newer.key == model.key,
        newer.recorded_at > model.recorded_at,
    )
    if as_of is None:
        return select(model).where(~is_replaced)
    return select(model).where(
        model.recorded_at <= as_of, ~is_replaced.where(newer.recorded_at <= as_of)
    )


def columns(
    session: Session, statement: Select[F], names: Sequence[str], *, since: datetime = EPOCH
) -> dict[str, Column]:
    """Read facts as arrays, one for each column asked for.

    Rows come sorted by key, source and time of recording, whatever order they were written in and
    whichever database holds them: the same facts give the same arrays to the bit.

    Parameters
    ----------
    session : Session
        Where to read.
    statement : Select
        Facts of one table, as `known` gives them, perhaps narrowed by ``where``.
    names : sequence of str
        Columns of that table.
    since : datetime, optional
        Zero of all times and dates, 1970-01-01 UTC unless told.

    Returns
    -------
    dict of str to ndarray of shape (n_rows,)
        Moments as float64 since `since`. [h] Dates as float64 days since the date of `since`.
        [days] Numbers as float64, or int64 where a whole number is always known; truth as bool;
        text as object. Not known is ``nan``, in text None.

    Examples
    --------
    >>> def standstills(session: Session, as_of: datetime) -> dict[str, Column]:
    ...     from api.registry.models import Downtime
    ...
    ...     return columns(session, known(Downtime, as_of), ["machine_key", "started_at"])
    """
    model: type[F] = statement.column_descriptions[0]["entity"]
    attributes: list[InstrumentedAttribute[Any]] = [getattr(model, name) for name in names]
    rows = session.execute(
        statement.with_only_columns(model.key, model.source, model.recorded_at, *attributes)
    ).all()
    # Sorted here, because PostgreSQL sorts text by the language the database was made for.
    ordered = sorted(rows, key=lambda row: (row[0], row[1], row[2]))
    return {
        name: _as_array([row[3 + index] for row in ordered], attribute, since)
        for index, (name, attribute) in enumerate(zip(names, attributes, strict=True))
    }


def _as_array(values: list[Any], attribute: InstrumentedAttribute[Any], since: datetime) -> Column:
    kind = attribute.property.columns[0].type
    is_optional = bool(attribute.property.columns[0].nullable)
    match kind:
        case UtcDateTime():
            return _floats(values, lambda moment: hours_since(moment, since))
        case Date():
            return _floats(values, lambda day: days_since(day, since))
        case Boolean() if not is_optional:
            return np.array(values, dtype=np.bool_)
        case Integer() if not is_optional:
            return np.array(values, dtype=np.int64)
        case Boolean() | Integer() | Float():
            return _floats(values, float)
        case _:
            array = np.empty(len(values), dtype=np.object_)
            array[:] = values
            return array


def _floats(values: list[Any], convert: Callable[[Any], float]) -> npt.NDArray[np.float64]:
    return np.array(
        [np.nan if value is None else convert(value) for value in values], dtype=np.float64
    )


def hours_since(moment: datetime, since: datetime = EPOCH) -> float:
    """Hours from one moment to another.

    Parameters
    ----------
    moment : datetime
        Aware time.
    since : datetime, optional
        Aware time to count from.

    Returns
    -------
    float
        Negative for earlier moments. [h]

    Examples
    --------
    >>> hours_since(datetime(1970, 1, 2, 12, 30, tzinfo=UTC))
    36.5
    """
    return (moment - since) / timedelta(hours=1)


def days_since(day: date, since: datetime = EPOCH) -> float:
    """Whole days from the date of a moment to another date.

    Parameters
    ----------
    day : date
        Calendar date.
    since : datetime, optional
        Its date in UTC is day zero.

    Returns
    -------
    float
        Negative for earlier dates. [days]

    Examples
    --------
    >>> days_since(date(1970, 3, 1))
    59.0
    """
    return float((day - since.astimezone(UTC).date()).days)


def positions(values: Column, keys: Sequence[str]) -> npt.NDArray[np.int64]:
    """Turn a column of keys into rows of a list of keys.

    Parameters
    ----------
    values : ndarray of object, shape (n_rows,)
        Keys, as `columns` gives them; None where not known.
    keys : sequence of str
        The list, without repeats.

    Returns
    -------
    ndarray of int64, shape (n_rows,)
        Position in `keys`, -1 for a key that is not in it.

    Examples
    --------
    >>> positions(np.array(["b", None, "a"], dtype=object), ["a", "b"]).tolist()
    [1, -1, 0]
    """
    row_of = {key: row for row, key in enumerate(keys)}
    return np.array([row_of.get(value, -1) for value in values], dtype=np.int64)
