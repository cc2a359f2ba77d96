"""Fields of the facts in a customer's timeline, so that they can be said in any language."""

from api.context import AppContext
from api.evidence.records import Facts, load_records
from api.registry.database import read_session
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
