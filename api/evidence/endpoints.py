"""`/v1/evidence`."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.evidence.schemas import EvidenceNode
from api.evidence.service import MAX_DEPTH, EvidenceService
from api.parameters import Context

router = APIRouter(prefix="/v1", tags=["evidence"])


@router.get("/evidence/{kind}/{id}", summary="Where a number came from")
def read_evidence(
    context: Context,
    kind: Annotated[str, Path(description="What it is, such as risk, driver, health or visit.")],
    id_: Annotated[str, Path(alias="id", max_length=200, description="Its name among its kind.")],
    depth: Annotated[int, Query(ge=0, le=MAX_DEPTH, description="Steps to follow.")] = 6,
) -> EvidenceNode:
    """Down to visits, standstills, alarms and the samples themselves."""
    return EvidenceService(context).resolve(kind, id_, depth)
