"""Parameters that mean the same on every endpoint."""

from datetime import datetime
from typing import Annotated, TypeAlias

from fastapi import Depends, Query

from api.context import AppContext, context_of
from api.shapes import MAX_PAGE_ITEMS

Context: TypeAlias = Annotated[AppContext, Depends(context_of)]

Limit: TypeAlias = Annotated[
    int, Query(ge=1, le=MAX_PAGE_ITEMS, description="At most so many items.")
]
Cursor: TypeAlias = Annotated[
    str | None,
    Query(max_length=200, description="`next_cursor` of the page before; leave out for the first."),
]
FromAt: TypeAlias = Annotated[
    datetime | None,
    Query(alias="from", description="Begin of the window, with its zone: 2026-01-31T14:00:00Z."),
]
ToAt: TypeAlias = Annotated[
    datetime | None,
    Query(alias="to", description="End of the window, excluded, with its zone."),
]
MaxPoints: TypeAlias = Annotated[
    int, Query(ge=2, le=20_000, description="At most so many points; extremes are kept.")
]
