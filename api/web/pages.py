"""Addresses of the pages: each asks the services and renders one template."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from api.context import AppContext, context_of
from api.evidence.service import EvidenceService
from api.health.service import HealthService
from api.planning.service import ProposalService
from api.problem import ApiError, BadRequestError
from api.retention.service import RetentionService
from api.web.addresses import path_of
from api.web.customer import customer_page, customers_page
from api.web.doorway import page_answer, problem_page, speech_of
from api.web.evidence import customer_key_of, evidence_page
from api.web.fleet import fleet_page
from api.web.history import customer_name, timeline_facts
from api.web.language import Speech
from api.web.machine import machine_page
from api.web.proposals import proposals_page
from ingest.errors import IngestError

__all__ = ["router"]

logger = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

Context = Annotated[AppContext, Depends(context_of)]
Moment = Annotated[str | None, Query(max_length=40)]


@router.get("/")
def fleet(request: Request, context: Context) -> HTMLResponse:
    """Which machines need somebody now."""

    def page(speech: Speech) -> str:
        machines = HealthService(context).machines()
        proposals = ProposalService(context).proposals()
        return fleet_page(speech, path_of(request), machines, proposals)

    return _answer(request, context, page)


@router.get("/machines/{key}")
def machine(
    request: Request,
    context: Context,
    key: str,
    from_at: Annotated[Moment, Query(alias="from")] = None,
    to_at: Annotated[Moment, Query(alias="to")] = None,
) -> HTMLResponse:
    """Why a machine is flagged and how long it has left."""

    def page(speech: Speech) -> str:
        health = HealthService(context)
        return machine_page(
            speech,
            path_of(request),
            health.machine(key),
            health.alarms(machine_key=key),
            ProposalService(context).for_machine(key),
            (_moment(from_at), _moment(to_at)),
        )

    return _answer(request, context, page)


@router.get("/proposals")
def proposals(request: Request, context: Context) -> HTMLResponse:
    """Which machine to visit, why, by when, and what waiting costs."""

    def page(speech: Speech) -> str:
        return proposals_page(speech, path_of(request), ProposalService(context).proposals())

    return _answer(request, context, page)


@router.get("/customers")
def customers(request: Request, context: Context) -> HTMLResponse:
    """Show customers by money at risk."""

    def page(speech: Speech) -> str:
        return customers_page(speech, path_of(request), RetentionService(context).customers())

    return _answer(request, context, page)


@router.get("/customers/{key}")
def customer(request: Request, context: Context, key: str) -> HTMLResponse:
    """Show what risk a customer is, why, and what happened."""

    def page(speech: Speech) -> str:
        detail = RetentionService(context).customer(key)
        states = {one.key: one.state for one in HealthService(context).machines()}
        return customer_page(
            speech, path_of(request), detail, timeline_facts(context, detail), states
        )

    return _answer(request, context, page)


@router.get("/evidence/{kind}/{id_:path}")
def evidence(request: Request, context: Context, kind: str, id_: str) -> HTMLResponse:
    """Where a number came from."""

    def page(speech: Speech) -> str:
        root = EvidenceService(context).resolve(kind, id_)
        key = customer_key_of(root)
        name = None if key is None else customer_name(context, key)
        return evidence_page(speech, path_of(request), root, name)

    return _answer(request, context, page)


def _answer(request: Request, context: AppContext, page: Callable[[Speech], str]) -> HTMLResponse:
    speech = speech_of(request, context.now())
    try:
        html = page(speech)
    except ApiError as error:
        return problem_page(request, error.status, str(error))
    except IngestError as error:
        logger.exception("%s: the store did not answer", request.url.path)
        return problem_page(request, 503, str(error))
    return page_answer(request, speech, html)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{text!r} is not a moment; write it as 2026-01-31T12:00:00Z"
        raise BadRequestError(msg) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
