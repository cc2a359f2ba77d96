"""Service proposals: which machine, why, by when, and what waiting costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from api.planning.schemas import ProposalReading
from api.web.fleet import SOON_DAYS
from api.web.language import Speech
from api.web.machine import waiting_plot
from api.web.rendering import render

STALE_PROPOSAL_AFTER: Final = timedelta(days=1)
"""Proposals are made anew as health changes; visits are planned in whole days."""

MONTH_DAYS: Final = 30


@dataclass(slots=True)
class Plan:
    """Proposals by how soon the visit is.

    Parameters
    ----------
    soon, month, later : list of ProposalReading
        Within `SOON_DAYS`, within `MONTH_DAYS`, and after that; in the order they came.
    """

    soon: list[ProposalReading] = field(default_factory=list)
    month: list[ProposalReading] = field(default_factory=list)
    later: list[ProposalReading] = field(default_factory=list)


def plan_of(proposals: Sequence[ProposalReading]) -> Plan:
    """Part proposals by how soon the visit is.

    Parameters
    ----------
    proposals : sequence of ProposalReading
        The open ones.

    Returns
    -------
    Plan
        Each in one of its parts.
    """
    plan = Plan()
    for proposal in proposals:
        if proposal.days_to_visit <= SOON_DAYS:
            plan.soon.append(proposal)
        elif proposal.days_to_visit <= MONTH_DAYS:
            plan.month.append(proposal)
        else:
            plan.later.append(proposal)
    return plan


def proposals_page(speech: Speech, path: str, proposals: Sequence[ProposalReading]) -> str:
    """Render the open proposals.

    Parameters
    ----------
    speech : Speech
        The language.
    path : str
        Where the page is.
    proposals : sequence of ProposalReading
        Most costly to wait first.

    Returns
    -------
    str
        HTML.
    """
    plan = plan_of(proposals)
    return render(
        "proposals.html",
        speech,
        path,
        here="proposals",
        stale_before=speech.now - STALE_PROPOSAL_AFTER,
        n_proposals=len(proposals),
        plan=plan,
        soon=[(proposal, waiting_plot(speech, proposal)) for proposal in plan.soon],
    )
