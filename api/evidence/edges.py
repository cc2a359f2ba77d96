"""Writing evidence: each computed number says what it came from, as data."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.evidence.schemas import EvidenceKind
from api.problem import BadRequestError
from api.registry.models import EvidenceEdge


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a number came from.

    Parameters
    ----------
    kind : str
        What it is.
    id : str
        Its name among its kind.
    label : str
        What it is to the number.
    value : float or None
        How much of it, in `unit`.
    unit : str or None
        Unit of `value`.
    method : str
        How the number came from it, in words.
    """

    kind: EvidenceKind
    id: str
    label: str
    value: float | None
    unit: str | None
    method: str


def add_evidence(session: Session, kind: EvidenceKind, id_: str, steps: Iterable[Step]) -> None:
    """Write down what a number came from; call it in the transaction that writes the number.

    Parameters
    ----------
    session : Session
        A writing session.
    kind : str
        What the number is.
    id_ : str
        Its name among its kind.
    steps : iterable of Step
        What it came from, the most telling first.
    """
    rows = [
        {
            "from_kind": kind,
            "from_id": id_,
            "to_kind": step.kind,
            "to_id": step.id,
            "label": step.label,
            "value": step.value,
            "unit": step.unit,
            "method": step.method,
        }
        for step in steps
    ]
    if rows:
        session.bulk_insert_mappings(EvidenceEdge.__mapper__, rows)


def evidence_url(kind: EvidenceKind, id_: str | int) -> str:
    """Where a number's evidence is read.

    Parameters
    ----------
    kind : str
        What the number is.
    id_ : str or int
        Its name among its kind.

    Returns
    -------
    str
        Path on this server.

    Examples
    --------
    >>> evidence_url("risk", 7)
    '/v1/evidence/risk/7'
    """
    return f"/v1/evidence/{kind}/{id_}"


def samples_id(machine: str, first_ns: int, last_ns: int) -> str:
    """Name a window of samples of one machine.

    Parameters
    ----------
    machine : str
        Machine name.
    first_ns, last_ns : int
        Oldest and newest sample, both included. [ns]

    Returns
    -------
    str
        ``machine:from:to`` with the end excluded, as windows of the store are. Both lie on whole
        microseconds, the finest that moments in JSON and in the registry can say.

    Examples
    --------
    >>> samples_id("pump-01", 1500, 2000)
    'pump-01:1000:3000'
    """
    return f"{machine}:{first_ns // 1000 * 1000}:{(last_ns // 1000 + 1) * 1000}"


def parse_samples_id(id_: str) -> tuple[str, int, int]:
    """Take the name of a window of samples apart.

    Parameters
    ----------
    id_ : str
        As `samples_id` made it.

    Returns
    -------
    tuple of str, int and int
        Machine, and the half-open window. [ns]

    Raises
    ------
    BadRequestError
        If it is not such a name.
    """
    machine, _, window = id_.partition(":")
    start, _, end = window.partition(":")
    is_number = all(one.isdecimal() and len(one) <= len(str(2**63)) for one in (start, end))
    if not machine or not is_number:
        msg = f"samples {id_!r}: not a window; write machine:from_ns:to_ns"
        raise BadRequestError(msg)
    start_ns, end_ns = int(start), int(end)
    if start_ns >= end_ns or end_ns >= 2**63:
        msg = f"samples {id_!r}: the window is empty; its end must lie after its start"
        raise BadRequestError(msg)
    return machine, start_ns, end_ns
