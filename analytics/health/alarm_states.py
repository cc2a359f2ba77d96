"""The life of an alarm after ISA-18.2: raised, seen, shelved, suppressed, gone.

One small state per alarm takes an event and answers with its next state; a book holds all alarms of
a site and keeps related ones together. Nothing here reads a clock: every event says when it
happened.

References: ANSI/ISA-18.2-2016, "Management of alarm systems for the process industries", clause 5
(alarm state transitions) and clause 16 (performance).
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Literal, assert_never

from analytics.arrays import DomainError

MAX_SHELF_H: Final = 24.0 * 14
"""An alarm that is shelved for longer is forgotten, not shelved. [h]"""

GROUP_WITHIN_H: Final = 1.0
"""Alarms of one cause that begin within this time are one thing to see to. [h]"""


class AlarmState(StrEnum):
    """Where an alarm is in its life; the letters are those of ISA-18.2, figure 3."""

    NORMAL = "normal"  # A
    UNACKNOWLEDGED = "unacknowledged"  # B
    ACKNOWLEDGED = "acknowledged"  # C
    RETURNED_UNACKNOWLEDGED = "returned, unacknowledged"  # D
    SHELVED = "shelved"  # F
    SUPPRESSED = "suppressed by design"  # G


class Severity(StrEnum):
    """How soon somebody must act."""

    ADVISORY = "advisory"
    WARNING = "warning"
    CRITICAL = "critical"


Verdict = Literal["true", "false", "unknown"]


@dataclass(frozen=True, slots=True)
class Condition:
    """The detector says whether something is wrong.

    Parameters
    ----------
    at_h : float
        When. [h]
    is_wrong : bool
        Whether it is.
    score : float
        From 0 to 1, 0.5 at the limit.
    """

    at_h: float
    is_wrong: bool
    score: float = 0.5


@dataclass(frozen=True, slots=True)
class Operation:
    """The machine is or is not in a state in which the alarm means something.

    Parameters
    ----------
    at_h : float
        When. [h]
    is_meaningful : bool
        False, for example, while it stands still, starts or is being served.
    """

    at_h: float
    is_meaningful: bool


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Somebody has seen it.

    Parameters
    ----------
    at_h : float
        When. [h]
    """

    at_h: float


@dataclass(frozen=True, slots=True)
class Shelve:
    """Somebody does not want to hear of it for some time.

    Parameters
    ----------
    at_h, until_h : float
        From when to when, at most fourteen days. [h]
    """

    at_h: float
    until_h: float


@dataclass(frozen=True, slots=True)
class Unshelve:
    """Somebody wants to hear of it again.

    Parameters
    ----------
    at_h : float
        When. [h]
    """

    at_h: float


AlarmEvent = Condition | Operation | Acknowledge | Shelve | Unshelve


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm of one machine.

    Parameters
    ----------
    machine, cause : str
        Which machine, and what seems to be wrong, such as the signal to blame.
    state : AlarmState
        Where it is in its life.
    is_wrong, is_meaningful : bool
        What the detector and the machine's operation last said.
    score : float
        Of the detector.
    raised_at_h : float or None
        When it last became active; None if it is not. [h]
    shelved_until_h : float or None
        Until when it is shelved. [h]
    n_raised : int
        How often it has become active; an alarm that chatters shows here.
    """

    machine: str
    cause: str
    state: AlarmState = AlarmState.NORMAL
    is_wrong: bool = False
    is_meaningful: bool = True
    score: float = 0.0
    raised_at_h: float | None = None
    shelved_until_h: float | None = None
    n_raised: int = 0

    @property
    def is_annunciated(self) -> bool:
        """Whether it asks for attention now."""
        return self.state in {AlarmState.UNACKNOWLEDGED, AlarmState.ACKNOWLEDGED}

    @property
    def severity(self) -> Severity:
        """How soon somebody must act: twice the limit is a warning, four times it critical."""
        if self.score >= 16 / 17:
            return Severity.CRITICAL
        return Severity.WARNING if self.score >= 0.8 else Severity.ADVISORY

    def handle(self, event: AlarmEvent) -> "Alarm":
        """Take one event.

        Parameters
        ----------
        event : AlarmEvent
            In the order of time.

        Returns
        -------
        Alarm
            As it is after it.

        Raises
        ------
        DomainError
            If a shelf does not end after it begins, or holds for more than fourteen days.
        """
        awake = self._woken(event.at_h)
        match event:
            case Condition(at_h, is_wrong, score):
                return replace(awake, is_wrong=is_wrong, score=score)._settled(at_h)
            case Operation(at_h, is_meaningful):
                return replace(awake, is_meaningful=is_meaningful)._settled(at_h)
            case Acknowledge(at_h):
                return awake._acknowledged()
            case Shelve(at_h, until_h):
                if not at_h < until_h <= at_h + MAX_SHELF_H:
                    msg = (
                        f"alarm of {self.machine}: a shelf from hour {at_h:g} to {until_h:g}; end "
                        f"it after its beginning and within {MAX_SHELF_H:g} hours"
                    )
                    raise DomainError(msg)
                return replace(awake, state=AlarmState.SHELVED, shelved_until_h=until_h)
            case Unshelve(at_h):
                return replace(awake, shelved_until_h=at_h)._woken(at_h)
            case _:
                assert_never(event)

    def _woken(self, at_h: float) -> "Alarm":
        """Take an alarm off a shelf that has ended."""
        if self.shelved_until_h is None or at_h < self.shelved_until_h:
            return self
        off = replace(self, state=AlarmState.NORMAL, shelved_until_h=None, raised_at_h=None)
        return off._settled(at_h)

    def _settled(self, at_h: float) -> "Alarm":
        """Bring the state into line with what is known."""
        if self.state is AlarmState.SHELVED:
            return self
        if not self.is_meaningful:
            return replace(self, state=AlarmState.SUPPRESSED, raised_at_h=None)
        if not self.is_wrong:
            was_unseen = self.state in {
                AlarmState.UNACKNOWLEDGED,
                AlarmState.RETURNED_UNACKNOWLEDGED,
            }
            state = AlarmState.RETURNED_UNACKNOWLEDGED if was_unseen else AlarmState.NORMAL
            return replace(self, state=state, raised_at_h=None)
        if self.is_annunciated:
            return self
        return replace(
            self,
            state=AlarmState.UNACKNOWLEDGED,
            raised_at_h=at_h,
            n_raised=self.n_raised + 1,
        )

    def _acknowledged(self) -> "Alarm":
        if self.state is AlarmState.UNACKNOWLEDGED:
            return replace(self, state=AlarmState.ACKNOWLEDGED)
        if self.state is AlarmState.RETURNED_UNACKNOWLEDGED:
            return replace(self, state=AlarmState.NORMAL)
        return self


@dataclass(frozen=True, slots=True)
class AlarmGroup:
    """Alarms that are one thing to see to.

    Parameters
    ----------
    alarms : tuple of Alarm
        The first raised first.
    """

    alarms: tuple[Alarm, ...]

    @property
    def severity(self) -> Severity:
        """The gravest of its alarms."""
        order = list(Severity)
        return max((alarm.severity for alarm in self.alarms), key=order.index)


@dataclass(slots=True)
class AlarmBook:
    """All alarms of a site.

    Parameters
    ----------
    alarms : dict
        By machine and cause.

    Examples
    --------
    >>> book = AlarmBook()
    >>> book.handle("pump-01", "vibration_mm_s", Condition(at_h=5.0, is_wrong=True)).state
    <AlarmState.UNACKNOWLEDGED: 'unacknowledged'>
    >>> book.handle("pump-01", "vibration_mm_s", Acknowledge(at_h=5.1)).state
    <AlarmState.ACKNOWLEDGED: 'acknowledged'>
    """

    alarms: dict[tuple[str, str], Alarm] = field(default_factory=dict)

    def handle(self, machine: str, cause: str, event: AlarmEvent) -> Alarm:
        """Take one event of one alarm.

        Parameters
        ----------
        machine, cause : str
            Which alarm; made if it is new.
        event : AlarmEvent
            In the order of time for each alarm.

        Returns
        -------
        Alarm
            As it is after it.
        """
        key = (machine, cause)
        self.alarms[key] = self.alarms.get(key, Alarm(machine, cause)).handle(event)
        return self.alarms[key]

    def groups(self) -> list[AlarmGroup]:
        """Put alarms that ask for attention together: of one machine, or of one cause at once.

        Returns
        -------
        list of AlarmGroup
            The gravest first, then the oldest.
        """
        standing = [alarm for alarm in self.alarms.values() if alarm.is_annunciated]
        standing.sort(key=lambda alarm: (alarm.raised_at_h or 0.0, alarm.machine, alarm.cause))
        groups: list[list[Alarm]] = []
        for alarm in standing:
            own = next((one for one in groups if any(_belong(alarm, other) for other in one)), None)
            if own is None:
                groups.append([alarm])
            else:
                own.append(alarm)
        order = list(Severity)
        found = [AlarmGroup(tuple(one)) for one in groups]
        return sorted(
            found,
            key=lambda one: (-order.index(one.severity), one.alarms[0].raised_at_h or 0.0),
        )


def _belong(one: Alarm, other: Alarm) -> bool:
    if one.machine == other.machine:
        return True
    apart_h = abs((one.raised_at_h or 0.0) - (other.raised_at_h or 0.0))
    return one.cause == other.cause and apart_h <= GROUP_WITHIN_H
