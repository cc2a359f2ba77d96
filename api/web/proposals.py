"""Service proposals: which machine, why, by when, and what waiting costs."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from api.planning.schemas import ProposalReading
from api.web.language import Speech
from api.web.machine import waiting_plot
from api.web.rendering import render

STALE_PROPOSAL_AFTER: Final = timedelta(days=1)
"""Proposals are made anew as health changes; visits are planned in whole days."""


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
    return render(
        "proposals.html",
        speech,
        path,
        here="proposals",
        stale_before=speech.now - STALE_PROPOSAL_AFTER,
        proposals=[(proposal, waiting_plot(speech, proposal)) for proposal in proposals],
    )
