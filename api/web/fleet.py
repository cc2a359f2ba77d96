"""The fleet answers: what needs me now."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from api.health.schemas import MachineSummary
from api.planning.schemas import ProposalReading
from api.web.language import Speech
from api.web.rendering import render

STALE_AFTER: Final = timedelta(minutes=15)
"""Machines send every second to every few minutes; a quarter of an hour is not normal."""

OLD_PROPOSAL_AFTER: Final = timedelta(days=1)

LIFE_SCALE_H: Final = 60 * 24.0
"""Right end of the bars of life left: what lies beyond two months needs nobody now."""

SOON_DAYS: Final = 7
SOON_H: Final = SOON_DAYS * 24.0
"""A week is how far ahead most service desks have not filled their plan yet."""


@dataclass(slots=True)
class Groups:
    """Machines by what they ask of a person.

    Parameters
    ----------
    needy : list of MachineSummary
        Alarmed, or due for a visit or likely to fail within a week; the shortest life first.
    watched : list of MachineSummary
        Worth watching, but not due yet.
    silent : list of MachineSummary
        Connected once, and no sample of late.
    unjudged : list of MachineSummary
        Connected and not yet judged.
    normal : list of MachineSummary
        Nothing to do.
    unconnected : list of MachineSummary
        Never sent a sample.
    """

    needy: list[MachineSummary] = field(default_factory=list)
    watched: list[MachineSummary] = field(default_factory=list)
    silent: list[MachineSummary] = field(default_factory=list)
    unjudged: list[MachineSummary] = field(default_factory=list)
    normal: list[MachineSummary] = field(default_factory=list)
    unconnected: list[MachineSummary] = field(default_factory=list)


def is_stale(newest_at: datetime | None, now: datetime) -> bool:
    """Whether a machine has been silent for longer than is normal.

    Parameters
    ----------
    newest_at : datetime or None
        Its newest sample.
    now : datetime
        The present.

    Returns
    -------
    bool
        False for machines that never sent.
    """
    return newest_at is not None and now - newest_at > STALE_AFTER


def is_old(proposal: ProposalReading, now: datetime) -> bool:
    """Whether a proposal comes from samples that may no longer hold.

    Parameters
    ----------
    proposal : ProposalReading
        The proposal.
    now : datetime
        The present.

    Returns
    -------
    bool
        Visits are planned in whole days, so a day is what may be missing.
    """
    return now - proposal.as_of > OLD_PROPOSAL_AFTER


def is_due(proposal: ProposalReading, now: datetime) -> bool:
    """Whether a visit needs somebody now.

    Parameters
    ----------
    proposal : ProposalReading
        The proposal.
    now : datetime
        The present.

    Returns
    -------
    bool
        Within `SOON_DAYS`. That time alone has brought the day near does not count where no sample
        has come meanwhile: first of all such a machine is silent.
    """
    return (proposal.best_day if is_old(proposal, now) else proposal.days_to_visit) <= SOON_DAYS


def group(machines: Sequence[MachineSummary], due: frozenset[str], now: datetime) -> Groups:
    """Sort machines by what they ask of a person.

    Parameters
    ----------
    machines : sequence of MachineSummary
        All of them.
    due : frozenset of str
        Keys of machines to be visited within `SOON_DAYS`.
    now : datetime
        The present.

    Returns
    -------
    Groups
        Each machine in one of them.
    """
    groups = Groups()
    for machine in machines:
        if not machine.is_connected:
            groups.unconnected.append(machine)
        elif machine.state == "alarm" or machine.key in due or _lower_h(machine) < SOON_H:
            groups.needy.append(machine)
        elif is_stale(machine.newest_sample_at, now) and machine.state != "watch":
            groups.silent.append(machine)
        elif machine.state == "unknown":
            groups.unjudged.append(machine)
        elif machine.state == "watch":
            groups.watched.append(machine)
        else:
            groups.normal.append(machine)
    groups.needy.sort(key=lambda machine: (machine.state != "alarm", _lower_h(machine)))
    return groups


def fleet_page(
    speech: Speech,
    path: str,
    machines: Sequence[MachineSummary],
    proposals: Sequence[ProposalReading],
) -> str:
    """Render the fleet.

    Parameters
    ----------
    speech : Speech
        The language.
    path : str
        Where the page is.
    machines : sequence of MachineSummary
        All machines.
    proposals : sequence of ProposalReading
        The open ones.

    Returns
    -------
    str
        HTML.
    """
    proposal_of = {proposal.machine_key: proposal for proposal in proposals}
    due = frozenset(p.machine_key for p in proposals if is_due(p, speech.now))
    groups = group(machines, due, speech.now)
    return render(
        "fleet.html",
        speech,
        path,
        here="fleet",
        groups=groups,
        n_machines=len(machines),
        n_by_state=Counter(machine.state for machine in [*groups.needy, *groups.watched]),
        proposal_of=proposal_of,
        stale={m.key for m in machines if is_stale(m.newest_sample_at, speech.now)},
        stale_after_s=STALE_AFTER.total_seconds(),
        life_scale_h=LIFE_SCALE_H,
    )


def _lower_h(machine: MachineSummary) -> float:
    lower_h = None if machine.health is None else machine.health.remaining_useful_life.lower_h
    return float("inf") if lower_h is None else lower_h
