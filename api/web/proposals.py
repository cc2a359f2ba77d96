"""Service proposals: which machine, why, by when, and what waiting costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from api.planning.schemas import ProposalReading
from api.web.fleet import OLD_PROPOSAL_AFTER, is_due, is_old
from api.web.language import Speech
from api.web.machine import waiting_plot
from api.web.rendering import render

MONTH_DAYS: Final = 30


@dataclass(slots=True)
class Plan:
    """Proposals by how soon the visit is.

    Parameters
    ----------
    soon, month, later : list of ProposalReading
        Within a week, within `MONTH_DAYS`, and after that; in the order they came.
    old : list of ProposalReading
        Not due when their machine was last heard of, which is more than a day ago.
    """

    soon: list[ProposalReading] = field(default_factory=list)
    month: list[ProposalReading] = field(default_factory=list)
    later: list[ProposalReading] = field(default_factory=list)
    old: list[ProposalReading] = field(default_factory=list)


def plan_of(proposals: Sequence[ProposalReading], now: datetime) -> Plan:
    """Part proposals by how soon the visit is.

    Parameters
    ----------
    proposals : sequence of ProposalReading
        The open ones.
    now : datetime
        The present.

    Returns
    -------
    Plan
        Each in one of its parts.
    """
    plan = Plan()
    for proposal in proposals:
        if is_due(proposal, now):
            plan.soon.append(proposal)
        elif is_old(proposal, now):
            plan.old.append(proposal)
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
    plan = plan_of(proposals, speech.now)
    return render(
        "proposals.html",
        speech,
        path,
        here="proposals",
        stale_before=speech.now - OLD_PROPOSAL_AFTER,
        n_proposals=len(proposals),
        plan=plan,
        soon=[(proposal, waiting_plot(speech, proposal)) for proposal in plan.soon],
    )
