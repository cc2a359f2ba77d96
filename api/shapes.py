"""Shapes that every answer shares: one money type, one page type, one base.

A developer who has read one answer can guess the next: quantities end in their unit, an estimate
stands beside the ends of its interval, money carries its currency, and moments are aware UTC.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from api.problem import BadRequestError

INTERVAL_RATIO: Final = 0.8
"""Every interval shown is the central 80 %: wide enough to be honest, narrow enough to act on."""

MAX_PAGE_ITEMS: Final = 500


class Shape(BaseModel):
    """Base of every answer: immutable, and nothing unnamed gets in."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Money(Shape):
    """An amount in its currency."""

    amount: float = Field(examples=[48200.0])
    currency: str = Field(examples=["EUR"], min_length=3, max_length=3)


Item = TypeVar("Item")


class Page(Shape, Generic[Item]):
    """Part of a list, and where the rest begins."""

    items: list[Item]
    n_total: int = Field(description="Items in the whole list, not only on this page.")
    next_cursor: str | None = Field(
        default=None, description="Give it back as `cursor` to read on; null on the last page."
    )


def page_of(
    items: Sequence[Item], key_of: Callable[[Item], str], *, limit: int, cursor: str | None
) -> Page[Item]:
    """Cut one page out of a sorted list.

    Parameters
    ----------
    items : sequence
        The whole list in its order.
    key_of : callable
        The name that each item is known by; it serves as the cursor.
    limit : int
        At most so many items.
    cursor : str or None
        Key of the last item already read; None begins at the front.

    Returns
    -------
    Page
        The items after the cursor.

    Raises
    ------
    BadRequestError
        If no item has the cursor's key.
    """
    start = 0
    if cursor is not None:
        keys = [key_of(item) for item in items]
        if cursor not in keys:
            msg = f"cursor {cursor!r} is no longer in this list; read again from the first page"
            raise BadRequestError(msg)
        start = keys.index(cursor) + 1
    chosen = list(items[start : start + limit])
    is_last = start + limit >= len(items)
    return Page(
        items=chosen,
        n_total=len(items),
        next_cursor=None if is_last or not chosen else key_of(chosen[-1]),
    )
