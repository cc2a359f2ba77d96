"""The fitted health model of each kind of machine, as kept in the registry."""

import logging
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, func, select

from analytics.arrays import AnalyticsError
from analytics.health.model import HealthModel
from api.registry.database import read_session
from api.registry.models import HealthModelRecord

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A model in use.

    Parameters
    ----------
    record_id : int
        Its row.
    kind : str
        Machines it speaks of.
    version : str
        Hash of its training data and settings.
    created_at : datetime
        When it was fitted.
    card : dict
        How good it proved.
    model : HealthModel
        Ready to use.
    """

    record_id: int
    kind: str
    version: str
    created_at: datetime
    card: dict[str, Any]
    model: HealthModel


class ModelShelf:
    """Keeps the newest model of each kind unpacked.

    Parameters
    ----------
    engine : Engine
        The registry's database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._by_kind: dict[str, FittedModel] = {}
        self._seen: set[int] = set()

    def newest(self) -> dict[str, FittedModel]:
        """Newest model of each kind; may be called from any thread.

        Returns
        -------
        dict of str to FittedModel
            By kind.
        """
        with self._lock, read_session(self._engine) as reading:
            ids = set(
                reading.scalars(
                    select(func.max(HealthModelRecord.id)).group_by(HealthModelRecord.kind)
                )
            )
            missing = ids - self._seen
            rows = select(HealthModelRecord).where(HealthModelRecord.id.in_(missing))
            for row in reading.scalars(rows) if missing else ():
                self._take(row)
            return dict(self._by_kind)

    def _take(self, row: HealthModelRecord) -> None:
        self._seen.add(row.id)
        try:
            model = HealthModel.from_document(row.document)
        except AnalyticsError:
            # One model that can't be read must not take the other kinds' answers with it.
            logger.exception(
                "the newest health model of %s can't be used; fit it again with "
                "`staybolt fit-health-model --kind %s`",
                row.kind,
                row.kind,
            )
            return
        self._by_kind[row.kind] = FittedModel(
            row.id, row.kind, row.version, row.created_at, row.card, model
        )
