"""What the broker's session has of us: a session outlives our settings.

Without this memory, a topic that was taken out of the settings while the agent was stopped would
be delivered for ever, for the broker does not tell what it has subscribed for us.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class SubscriptionFile:
    """Topic filters of a session, on disk.

    Parameters
    ----------
    path : Path or None
        The file; None remembers nothing.
    session : str
        Broker and name of the session; what is known of another one does not count.
    """

    path: Path | None
    session: str
    _known: tuple[str, ...] | None = None

    def left_over(self, wanted: Sequence[str]) -> list[str]:
        """Find filters that the broker may still have, and that are wanted no more.

        Parameters
        ----------
        wanted : sequence of str
            Filters of the settings.

        Returns
        -------
        list of str
            In the order they were subscribed to.
        """
        return [one for one in self._load() if one not in wanted]

    def save(self, filters: Sequence[str]) -> None:
        """Remember what is subscribed to.

        Parameters
        ----------
        filters : sequence of str
            All of it.
        """
        if self.path is None or tuple(filters) == self._known:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside = self.path.with_suffix(".new")
            beside.write_text(json.dumps({self.session: list(filters)}), encoding="utf-8")
            beside.replace(self.path)
        except OSError as error:
            logger.warning("%s can't be written: %s", self.path, error)
            return
        self._known = tuple(filters)

    def _load(self) -> tuple[str, ...]:
        if self._known is None and self.path is not None:
            try:
                document = json.loads(self.path.read_text(encoding="utf-8"))
                self._known = tuple(str(one) for one in document.get(self.session, ()))
            except FileNotFoundError:
                return ()
            except (OSError, ValueError, TypeError, AttributeError) as error:
                logger.warning("%s can't be read: %s; it is written anew", self.path, error)
        return self._known or ()
