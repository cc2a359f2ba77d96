"""What pages read of the registry themselves: fields of facts, and names."""

from sqlalchemy import select

from api.context import AppContext
from api.evidence.records import Facts, load_records
from api.registry.database import read_session
from api.registry.models import Customer
from api.retention.schemas import CustomerDetail


def timeline_facts(context: AppContext, customer: CustomerDetail) -> dict[tuple[str, str], Facts]:
    """Read the fields of every fact in a timeline.

    Parameters
    ----------
    context : AppContext
        Where the registry is.
    customer : CustomerDetail
        Whose timeline.

    Returns
    -------
    dict
        Fields by kind and key; one query for each kind.
    """
    kinds = sorted({entry.kind for entry in customer.timeline})
    with read_session(context.engine) as reading:
        return {
            (kind, id_): record.facts
            for kind in kinds
            for id_, record in load_records(
                reading,
                kind,
                [entry.id for entry in customer.timeline if entry.kind == kind],
                None,
            ).items()
        }


def customer_name(context: AppContext, key: str) -> str | None:
    """Read what a customer is called.

    Parameters
    ----------
    context : AppContext
        Where the registry is.
    key : str
        Which customer.

    Returns
    -------
    str or None
        The name told last; None if nobody told one.
    """
    newest = (
        select(Customer.name)
        .where(Customer.key == key)
        .order_by(Customer.recorded_at.desc(), Customer.source.desc())
        .limit(1)
    )
    with read_session(context.engine) as reading:
        return reading.scalar(newest)
