"""Who owns which machine: looked up by ingest on every batch, and by the services on every page."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from api.registry.as_of import F, known
from api.registry.database import read_session
from api.registry.models import Contract, Customer, Machine, Site

logger = logging.getLogger(__name__)

# Time from an import to its machines being let in by a server that was not told of it.
REFRESH_AFTER_S: Final = 5.0


class RegistryCatalogue:
    """The machines of the registry, as `ingest.ports.MachineCatalogue` asks for them.

    Names are kept in memory and read again every few seconds. While the registry can't be
    reached the last known names stand, so that telemetry goes on being stored; for the same
    reason there is no catalogue before the names have been read once.

    Parameters
    ----------
    engine : Engine
        The registry, already migrated.
    clock_s : callable, optional
        Steady clock. [s]
    refresh_after_s : float, optional
        Age at which the names are read again. [s]

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        If the registry can't be read.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        refresh_after_s: float = REFRESH_AFTER_S,
    ) -> None:
        self._engine = engine
        self._clock_s = clock_s
        self._refresh_after_s = refresh_after_s
        self._lock = threading.Lock()
        self._machines: frozenset[str] = frozenset()
        self._next_refresh_s = 0.0
        self.refresh()

    def is_known(self, machine: str) -> bool:
        """Whether telemetry of this machine is expected.

        Parameters
        ----------
        machine : str
            Machine name.

        Returns
        -------
        bool
            True if a machine of this key is in the registry.
        """
        if self._clock_s() >= self._next_refresh_s:
            self._refresh_if_due()
        return machine in self._machines

    def refresh(self) -> None:
        """Read the names again at once, as after an import.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError
            If the registry can't be read; the last known names stand.
        """
        with self._lock:
            self._read()

    def _refresh_if_due(self) -> None:
        # One thread reads; the others go on with the names they have.
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._clock_s() >= self._next_refresh_s:
                self._read()
        except SQLAlchemyError:
            logger.exception(
                "the list of machines could not be read; going on with the %d known, next try in "
                "%.0f s; check the registry's database",
                len(self._machines),
                self._refresh_after_s,
            )
        finally:
            self._lock.release()

    def _read(self) -> None:
        self._next_refresh_s = self._clock_s() + self._refresh_after_s
        with read_session(self._engine) as session:
            self._machines = frozenset(session.scalars(select(Machine.key).distinct()))


@dataclass(frozen=True, slots=True)
class ContractFacts:
    """A subscription as the services see it.

    See `api.registry.models.Contract` for what each field means.
    """

    key: str
    customer_key: str
    starts_on: date
    ends_on: date
    auto_renew: bool
    notice_days: int
    recurring_value_per_year: float
    currency: str
    pricing_model: str
    uptime_guarantee_ratio: float | None
    downtime_vendor_share_ratio: float
    response_target_h: float
    outcome: str | None
    outcome_on: date | None
    outcome_reason: str | None

    def is_running(self, on: date) -> bool:
        """Whether the contract covers a day.

        Parameters
        ----------
        on : date
            The day.

        Returns
        -------
        bool
            True from its first day to the day before it ends, or was left.
        """
        end = self.ends_on
        if self.outcome == "churned" and self.outcome_on is not None:
            end = min(end, self.outcome_on)
        return self.starts_on <= on < end


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """A machine with everything about its site, customer and contract that the services need."""

    key: str
    kind: str
    model: str
    installed_on: date
    site_key: str
    site_name: str
    time_zone: str
    latitude_deg: float
    longitude_deg: float
    customer_key: str
    customer_name: str
    contract: ContractFacts
    downtime_cost_per_h: float
    planned_visit_cost: float
    planned_visit_h: float
    unplanned_repair_cost: float
    unplanned_repair_h: float

    @property
    def currency(self) -> str:
        """Currency of all its costs."""
        return self.contract.currency


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """A customer with its sites, machines and contracts, each sorted."""

    key: str
    name: str
    segment: str
    region: str
    site_keys: tuple[str, ...]
    machine_keys: tuple[str, ...]
    contracts: tuple[ContractFacts, ...]
    """By first day, then by key."""

    def running_contracts(self, on: date) -> tuple[ContractFacts, ...]:
        """Contracts that cover a day.

        Parameters
        ----------
        on : date
            The day.

        Returns
        -------
        tuple of ContractFacts
            Empty once the customer has left.
        """
        return tuple(contract for contract in self.contracts if contract.is_running(on))


def machine_facts(session: Session, as_of: datetime | None = None) -> dict[str, MachineFacts]:
    """Every machine with its site, customer and contract, as known at a moment.

    Parameters
    ----------
    session : Session
        Where to read.
    as_of : datetime, optional
        Facts recorded later are not seen.

    Returns
    -------
    dict of str to MachineFacts
        By machine key, sorted. A machine whose site, customer or contract was not yet known at
        that moment is left out.
    """
    sites = _by_key(session, Site, as_of)
    customers = _by_key(session, Customer, as_of)
    contracts = _by_key(session, Contract, as_of)
    facts = {}
    for key, machine in _by_key(session, Machine, as_of).items():
        site = sites.get(machine.site_key)
        customer = customers.get(site.customer_key) if site else None
        contract = contracts.get(machine.contract_key)
        if site is None or customer is None or contract is None:
            continue
        facts[key] = MachineFacts(
            key=key,
            kind=machine.kind,
            model=machine.model,
            installed_on=machine.installed_on,
            site_key=site.key,
            site_name=site.name,
            time_zone=site.time_zone,
            latitude_deg=site.latitude_deg,
            longitude_deg=site.longitude_deg,
            customer_key=customer.key,
            customer_name=customer.name,
            contract=_contract_facts(contract),
            downtime_cost_per_h=machine.downtime_cost_per_h,
            planned_visit_cost=machine.planned_visit_cost,
            planned_visit_h=machine.planned_visit_h,
            unplanned_repair_cost=machine.unplanned_repair_cost,
            unplanned_repair_h=machine.unplanned_repair_h,
        )
    return facts


def customer_facts(session: Session, as_of: datetime | None = None) -> dict[str, CustomerFacts]:
    """Every customer with its sites, machines and contracts, as known at a moment.

    Parameters
    ----------
    session : Session
        Where to read.
    as_of : datetime, optional
        Facts recorded later are not seen.

    Returns
    -------
    dict of str to CustomerFacts
        By customer key, sorted.
    """
    sites_of: dict[str, list[str]] = defaultdict(list)
    machines_of: dict[str, list[str]] = defaultdict(list)
    contracts_of: dict[str, list[ContractFacts]] = defaultdict(list)
    customer_of_site = {}
    for site in _by_key(session, Site, as_of).values():
        sites_of[site.customer_key].append(site.key)
        customer_of_site[site.key] = site.customer_key
    for machine in _by_key(session, Machine, as_of).values():
        if machine.site_key in customer_of_site:
            machines_of[customer_of_site[machine.site_key]].append(machine.key)
    for contract in _by_key(session, Contract, as_of).values():
        contracts_of[contract.customer_key].append(_contract_facts(contract))
    return {
        key: CustomerFacts(
            key=key,
            name=customer.name,
            segment=customer.segment,
            region=customer.region,
            site_keys=tuple(sites_of[key]),
            machine_keys=tuple(machines_of[key]),
            contracts=tuple(
                sorted(contracts_of[key], key=lambda contract: (contract.starts_on, contract.key))
            ),
        )
        for key, customer in _by_key(session, Customer, as_of).items()
    }


def _by_key(session: Session, model: type[F], as_of: datetime | None) -> dict[str, F]:
    # Two sources may speak of one key; the one that spoke last counts.
    facts = sorted(
        session.scalars(known(model, as_of)), key=lambda fact: (fact.recorded_at, fact.source)
    )
    newest = {fact.key: fact for fact in facts}
    return dict(sorted(newest.items()))


def _contract_facts(contract: Contract) -> ContractFacts:
    return ContractFacts(
        key=contract.key,
        customer_key=contract.customer_key,
        starts_on=contract.starts_on,
        ends_on=contract.ends_on,
        auto_renew=contract.auto_renew,
        notice_days=contract.notice_days,
        recurring_value_per_year=contract.recurring_value_per_year,
        currency=contract.currency,
        pricing_model=contract.pricing_model,
        uptime_guarantee_ratio=contract.uptime_guarantee_ratio,
        downtime_vendor_share_ratio=contract.downtime_vendor_share_ratio,
        response_target_h=contract.response_target_h,
        outcome=contract.outcome,
        outcome_on=contract.outcome_on,
        outcome_reason=contract.outcome_reason,
    )
