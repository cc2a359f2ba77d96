"""Evidence: from a risk down to the samples, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlencode

from markupsafe import Markup, escape

from api.evidence.schemas import EvidenceNode, SampleWindow
from api.web.facts import node_title, value_text
from api.web.language import Speech
from api.web.rendering import render
from api.web.terms import EVIDENCE_KINDS, STEP_LABELS

MANY: Final = 8
"""More children of one step than this are folded away behind the first few."""

OPEN_LEVELS: Final = 1
"""Steps under the number itself are seen at once; what is under those opens at a touch."""

CUSTOMERS_PREFIX: Final = "/customers/"


@dataclass(frozen=True, slots=True)
class Branch:
    """One step of the chain, as a page shows it.

    Parameters
    ----------
    node : EvidenceNode
        What is known.
    kind : Markup
        What it is.
    title : Markup
        It in a sentence.
    label : Markup or None
        What it is to the number above it.
    value : Markup or None
        Its number with its unit.
    url : str
        Its own evidence page.
    shown, folded : sequence of Branch
        Steps under it, those that are seen at once and those behind a fold.
    is_open : bool
        Whether the steps under it are seen at once.
    chart_url : str or None
        The machine's charts at a window of samples.
    """

    node: EvidenceNode
    kind: Markup
    title: Markup
    label: Markup | None
    value: Markup | None
    url: str
    shown: Sequence["Branch"]
    folded: Sequence["Branch"]
    is_open: bool
    chart_url: str | None


def evidence_page(
    speech: Speech, path: str, root: EvidenceNode, customer_name: str | None = None
) -> str:
    """Render what a number came from.

    Parameters
    ----------
    speech : Speech
        The language.
    path : str
        Where the page is.
    root : EvidenceNode
        The number with everything under it.
    customer_name : str or None
        What the customer is called whom it is about.

    Returns
    -------
    str
        HTML.
    """
    if customer_name is not None:
        root = root.model_copy(update={"facts": {**root.facts, "customer_name": customer_name}})
    chain = way_to_samples(root)
    is_customers = customer_key_of(root) is not None
    here = "customers" if is_customers else "proposals" if root.kind == "proposal" else "fleet"
    return render(
        "evidence.html",
        speech,
        path,
        here=here,
        crumbs=_crumbs(speech, root),
        root=branch(speech, root, {id(node) for node in chain}),
        chain=[branch(speech, node, set()) for node in chain],
    )


def customer_key_of(node: EvidenceNode) -> str | None:
    """Name the customer whom a number is about.

    Parameters
    ----------
    node : EvidenceNode
        The number.

    Returns
    -------
    str or None
        None for numbers of machines.
    """
    if node.kind not in {"risk", "driver", "contract", "payment"}:
        return None
    key = node.facts.get("customer_key")
    if key is None and (node.page_url or "").startswith(CUSTOMERS_PREFIX):
        key = unquote((node.page_url or "").removeprefix(CUSTOMERS_PREFIX))
    return key if isinstance(key, str) else None


def _crumbs(speech: Speech, root: EvidenceNode) -> list[tuple[str, Markup]]:
    """Where the number stands: the list it is in, and whom or what it is about."""
    key = customer_key_of(root)
    if key is not None:
        name = escape(root.facts.get("customer_name") or key)
        return [("/customers", speech.say("Customers")), (f"{CUSTOMERS_PREFIX}{quote(key)}", name)]
    machine = root.facts.get("machine_key") if root.samples is None else root.samples.machine_key
    if isinstance(machine, str):
        return [("/", speech.say("Fleet")), (f"/machines/{quote(machine)}", escape(machine))]
    return []


def way_to_samples(root: EvidenceNode) -> list[EvidenceNode]:
    """Find the first way from a number down to samples.

    Parameters
    ----------
    root : EvidenceNode
        The number.

    Returns
    -------
    list of EvidenceNode
        From the number to its samples; the number alone if no samples are under it.
    """

    def down(node: EvidenceNode) -> list[EvidenceNode]:
        if node.samples is not None:
            return [node]
        ways = (down(child) for child in node.children)
        found = next((way for way in ways if way), [])
        return [node, *found] if found else []

    return down(root) or [root]


def branch(speech: Speech, node: EvidenceNode, first: set[int], level: int = 0) -> Branch:
    """Prepare one step and those under it.

    Parameters
    ----------
    speech : Speech
        The language.
    node : EvidenceNode
        The step.
    first : set of int
        ``id()`` of the steps that come before those beside them.
    level : int
        How far below the number it is.

    Returns
    -------
    Branch
        The step.
    """
    children = [branch(speech, child, first, level + 1) for child in node.children]
    # What leads to the samples stays in sight.
    children.sort(key=lambda child: id(child.node) not in first)
    n_shown = len(children) if len(children) <= MANY else MANY - 2
    return Branch(
        node=node,
        kind=speech.say(EVIDENCE_KINDS[node.kind]),
        title=node_title(speech, node),
        label=speech.quote(node.label) if node.label in STEP_LABELS else None,
        value=value_text(speech, node.value, node.unit),
        url=f"/evidence/{node.kind}/{quote(node.id, safe=':.')}",
        shown=children[:n_shown],
        folded=children[n_shown:],
        is_open=level < OPEN_LEVELS,
        chart_url=None if node.samples is None else chart_url(node.samples),
    )


def chart_url(window: SampleWindow) -> str:
    """Address of a machine's charts at a window.

    Parameters
    ----------
    window : SampleWindow
        The window.

    Returns
    -------
    str
        Path on this server.
    """
    ends = {"from": window.from_at.isoformat(), "to": window.to_at.isoformat()}
    return f"/machines/{quote(window.machine_key)}?{urlencode(ends)}"
