"""Rules of the uplink: what is sent when, and what follows from the store's answers.

Two lanes, each with one request under way at most: ``alarm`` takes the newest alarms first,
``backlog`` drains everything in the order in which it came. They share what the store has said
about all requests (its size limit, a pause it asks for, a token it does not know, and that it is
well again), and nothing else: a request that hangs in one lane does not hold up the other.

A record is held by one lane at a time, from reading until it has left the outbox or the lane gives
it up for a pause, so it is never sent twice at once. What is held is not dropped for room.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, assert_never

from edge_agent.bisection import Judged, Search
from edge_agent.messages import (
    Answer,
    Forget,
    ForgetFailed,
    Instruction,
    NotAllowed,
    Piece,
    ReadFailed,
    ReadRecords,
    Record,
    RecordsRead,
    Refused,
    RetryUplinkAfter,
    Send,
    SetAside,
    Settled,
    StoreAnswered,
    Stored,
    TakeApart,
    TooLarge,
    Unavailable,
)
from edge_agent.pauses import pause_s
from edge_agent.records import LANES, Lane

UPLINK_RETRY_FIRST_S: Final = 0.5
"""First pause after the store did not answer; doubles up to the setting `retry_max_s`."""

ALARM_RETRY_MAX_S: Final = 5.0
"""An alarm arrives this soon after the store is well again; a try with alarms alone is small."""

RETRY_AFTER_SPREAD: Final = 0.1
"""Agents that were all told "in 5 s" come back within half a second, not at the same moment."""

MIN_BODY_BYTES: Final = 1024
"""One line is at most about 400 bytes; a body this small that is too large holds one or two."""

MIN_REQUEST_BYTES: Final = 16_384
"""On a link that breaks off all the time, requests get smaller down to this."""

MAX_RECORDS: Final[dict[Lane, int]] = {"alarm": 100, "backlog": 1000}
"""Records in a request; keeps the list of sequence numbers short, bytes are the real bound."""

MAX_ALARM_BYTES: Final = 100_000
"""Alarms go in small requests, which a slow link takes quickly too. [byte]"""


@dataclass(slots=True)
class LaneState:
    """Records on their way from the disk to the store, one request at a time."""

    lane: Lane
    max_bytes: int
    """Most it ever asks for at once. [byte]"""
    request_bytes: int
    """What it asks for at once at present. [byte]"""
    held: tuple[Record, ...] = ()
    sending: tuple[Piece, ...] = ()
    search: Search | None = None
    is_reading: bool = False
    may_have_more: bool = True
    """Whether the outbox may hold records for this lane."""
    left_since_read: set[int] = field(default_factory=set)
    """Records that were told to leave the outbox since the last reading was asked for."""
    paused_by: Literal["store", "disk"] | None = None
    failures: int = 0


@dataclass(slots=True)
class UplinkState:
    """Both lanes, and what they know together."""

    max_body_bytes: int
    retry_max_s: float
    is_closed: bool = False
    is_yielding: bool = False
    """While a commit waits for the disk: no new reading is asked for."""
    lanes: dict[Lane, LaneState] = field(init=False)

    def __post_init__(self) -> None:
        alarm_bytes = min(MAX_ALARM_BYTES, self.max_body_bytes)
        self.lanes = {
            "alarm": LaneState("alarm", alarm_bytes, alarm_bytes),
            "backlog": LaneState("backlog", self.max_body_bytes, self.max_body_bytes),
        }

    @property
    def is_sending(self) -> bool:
        """Whether a request is under way."""
        return any(lane.sending for lane in self.lanes.values())

    @property
    def is_reading(self) -> bool:
        """Whether records are being read."""
        return any(lane.is_reading for lane in self.lanes.values())

    @property
    def held(self) -> tuple[int, ...]:
        """Sequences that must stay in the outbox: they are being sent or searched."""
        return tuple(record.sequence for lane in self.lanes.values() for record in lane.held)

    def committed(self, records: Iterable[Record]) -> list[Instruction]:
        """Send what is new."""
        for record in records:
            self.lanes["backlog"].may_have_more = True
            if record.priority == "alarm":
                self.lanes["alarm"].may_have_more = True
        return self.look()

    def look(self) -> list[Instruction]:
        """Go on in each lane unless something is under way or a pause is kept."""
        return [step for lane in self.lanes.values() for step in self._look(lane)]

    def read(self, event: RecordsRead) -> list[Instruction]:
        """Send what was read; with nothing to send, rest until the next commit."""
        lane = self.lanes[event.lane]
        lane.is_reading = False
        lane.may_have_more = lane.may_have_more or bool(event.records)
        if lane.paused_by is not None or self.is_closed:
            lane.may_have_more = True
            return []
        taken = {record.sequence for other in self._others(lane) for record in other.held}
        taken |= lane.left_since_read
        n_bytes = 0
        for record in event.records:
            n_bytes += record.n_bytes
            is_full = n_bytes > lane.request_bytes or len(lane.held) == MAX_RECORDS[lane.lane]
            if lane.held and is_full:
                break
            if record.sequence in taken:
                n_bytes -= record.n_bytes
            else:
                lane.held += (record,)
        if not lane.held:
            return []
        lane.sending = tuple(Piece(record.sequence) for record in lane.held)
        return [self._send(lane)]

    def disk_failed(self, event: ReadFailed | ForgetFailed) -> list[Instruction]:
        """Leave the disk alone for a while, or the same records would be sent in a tight loop."""
        lane = self.lanes[event.lane]
        lane.may_have_more = True
        if isinstance(event, ReadFailed):
            lane.is_reading = False
        return self._pause(lane, Unavailable("the outbox can't be used"), event.jitter, by="disk")

    def timer_fired(self, name: Lane) -> list[Instruction]:
        """Try again."""
        self.lanes[name].paused_by = None
        return self.look()

    def answered(self, event: StoreAnswered) -> list[Instruction]:
        """Draw the consequence of the store's answer for the pieces that were sent."""
        lane = self.lanes[event.lane]
        if event.pieces != lane.sending:
            return []
        lane.sending = ()
        return [*self._consequence(lane, event.answer, event.jitter), *self.look()]

    # --- one lane ------------------------------------------------------------------------------

    def _look(self, lane: LaneState) -> list[Instruction]:
        if lane.sending or lane.is_reading or lane.paused_by is not None or self.is_closed:
            return []
        if lane.search is not None:
            lane.sending = lane.search.question
            return [self._send(lane)]
        if self.is_yielding or not lane.may_have_more:
            return []
        lane.is_reading, lane.may_have_more = True, False
        lane.left_since_read.clear()
        # The other lane's records may come along; they are passed over, and what is asked for is
        # enough for that.
        elsewhere = [record for other in self._others(lane) for record in other.held]
        n_bytes = lane.request_bytes + sum(record.n_bytes for record in elsewhere)
        return [ReadRecords(lane.lane, n_bytes, MAX_RECORDS[lane.lane] + len(elsewhere))]

    def _send(self, lane: LaneState) -> Send:
        body_bytes = max(MIN_BODY_BYTES, min(self.max_body_bytes, lane.request_bytes))
        return Send(lane.lane, lane.sending, body_bytes)

    def _others(self, lane: LaneState) -> list[LaneState]:
        return [self.lanes[name] for name in LANES if name != lane.lane]

    def _consequence(self, lane: LaneState, answer: Answer, jitter: float) -> list[Instruction]:
        match answer:
            case Stored():
                self._works(lane)
                if lane.search is not None:
                    return self._leave(lane, lane.search.stored())
                return self._leave(lane, [Judged(record.sequence, ()) for record in lane.held])
            case Refused():
                self._works(lane)
                if lane.search is None:
                    lane.search = Search(lane.held)
                return self._leave(lane, lane.search.refused(answer))
            case TooLarge(n_bytes):
                n_bytes = min(n_bytes, self.max_body_bytes)
                if n_bytes <= MIN_BODY_BYTES:
                    refused = Refused(f"the store refuses even {n_bytes} bytes as too large")
                    return self._consequence(lane, refused, jitter)
                self._works(lane)
                self.max_body_bytes = max(MIN_BODY_BYTES, n_bytes // 2)
                self._give_up(lane)
                return []
            case Settled():
                return self._settled(lane, answer, jitter)
            case NotAllowed() | Unavailable():
                self._give_up(lane)
                return self._pause(lane, answer, jitter, by="store")
        assert_never(answer)

    def _leave(self, lane: LaneState, judged: list[Judged]) -> list[Instruction]:
        """Let records that are judged leave the outbox, and the search end with the last one."""
        good = tuple(each.sequence for each in judged if not each.bad)
        apart = [TakeApart(lane.lane, each.sequence, each.bad) for each in judged if each.bad]
        self._let_go(lane, {each.sequence for each in judged})
        if lane.search is not None and lane.search.is_over:
            lane.search = None
        return [*([Forget(lane.lane, good)] if good else []), *apart]

    def _settled(self, lane: LaneState, answer: Settled, jitter: float) -> list[Instruction]:
        if lane.search is not None:
            # Never seen: whoever answers for whole records does not refuse single lines.
            reasons = [reason for _, reason in answer.refused]
            whole: Answer = Refused(reasons[0]) if reasons else answer.rest or Stored()
            return self._consequence(lane, whole, jitter)
        held = {record.sequence for record in lane.held}
        stored = tuple(sequence for sequence in answer.stored if sequence in held)
        refused = [(sequence, reason) for sequence, reason in answer.refused if sequence in held]
        if stored or refused:
            self._works(lane)
        self._let_go(lane, {*stored, *(sequence for sequence, _ in refused)})
        steps: list[Instruction] = [Forget(lane.lane, stored)] if stored else []
        steps += [SetAside(lane.lane, (sequence,), reason) for sequence, reason in refused]
        if answer.rest is None:
            self._give_up(lane)
            return steps
        return [*steps, *self._consequence(lane, answer.rest, jitter)]

    def _let_go(self, lane: LaneState, sequences: set[int]) -> None:
        lane.held = tuple(record for record in lane.held if record.sequence not in sequences)
        for each in self.lanes.values():
            each.left_since_read |= sequences
        lane.may_have_more = True

    def _give_up(self, lane: LaneState) -> None:
        """Hold records no longer, except for a search, whose findings would be lost."""
        if lane.search is None:
            lane.held = ()
            lane.may_have_more = True

    # --- pauses --------------------------------------------------------------------------------

    def _works(self, lane: LaneState) -> None:
        """Know that the store answers; a lane that knew it was down wakes the other."""
        if lane.failures:
            for other in self._others(lane):
                if other.paused_by == "store":
                    other.paused_by = None
        lane.failures = 0
        lane.request_bytes = min(2 * lane.request_bytes, lane.max_bytes)

    def _pause(
        self,
        lane: LaneState,
        answer: NotAllowed | Unavailable,
        jitter: float,
        *,
        by: Literal["store", "disk"],
    ) -> list[Instruction]:
        lane.failures += 1
        lane.paused_by = by
        if isinstance(answer, NotAllowed):
            asked_s, delay_s = self.retry_max_s, self.retry_max_s
        else:
            asked_s = answer.retry_after_s * (1 + RETRY_AFTER_SPREAD * jitter)
            max_s = self.retry_max_s
            if lane.lane == "alarm":
                max_s = min(max_s, ALARM_RETRY_MAX_S)
            delay_s = max(asked_s, pause_s(lane.failures, UPLINK_RETRY_FIRST_S, max_s, jitter))
            if by == "store" and lane.failures > 1:
                lane.request_bytes = max(
                    min(MIN_REQUEST_BYTES, lane.max_bytes), lane.request_bytes // 2
                )
        steps: list[Instruction] = [RetryUplinkAfter(lane.lane, delay_s)]
        if asked_s > 0:
            # What was said holds for all requests, so the lanes at rest keep the pause too.
            for other in self._others(lane):
                if not other.sending and other.paused_by is None:
                    other.paused_by = "store"
                    steps.append(RetryUplinkAfter(other.lane, asked_s))
        return steps
