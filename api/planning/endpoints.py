"""`/v1/proposals`."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.parameters import Context, Cursor, Limit
from api.planning.schemas import ProposalReading
from api.planning.service import ProposalService
from api.shapes import Page, page_of

router = APIRouter(prefix="/v1", tags=["proposals"])


@router.get("/proposals", summary="Newest service proposal of each machine")
def list_proposals(
    context: Context,
    is_open: Annotated[
        bool | None, Query(description="Only open ones, or only closed ones.")
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[ProposalReading]:
    """Open ones first, the most costly to wait before the others."""
    proposals = ProposalService(context).proposals(is_open=is_open)
    return page_of(proposals, lambda one: str(one.id), limit=limit, cursor=cursor)


@router.get("/proposals/{proposal_id}", summary="One service proposal")
def read_proposal(
    context: Context, proposal_id: Annotated[int, Path(ge=1, description="Its number.")]
) -> ProposalReading:
    """As it was made, also if a newer one has taken its place."""
    return ProposalService(context).proposal(proposal_id)
