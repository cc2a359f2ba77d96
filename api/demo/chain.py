"""One complete chain, followed through the public API: sample, health, proposal, risk, evidence."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import urllib3

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Link:
    """A link of the chain that has closed.

    Parameters
    ----------
    name : str
        Which link.
    found : str
        What closed it, in a sentence.
    """

    name: str
    found: str


class Chain:
    """Follows one machine from its samples to its customer's renewal.

    Each link is looked for only in what the link before delivered, so that a chain can't be
    put together from unconnected parts.

    Parameters
    ----------
    url : str
        Address of the API.
    """

    LINKS: Final = ("sample", "health", "proposal", "churn risk", "evidence")

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(timeout=10.0, retries=False)
        self._seekers: dict[str, Callable[[], str | None]] = {
            "sample": self._seek_sample,
            "health": self._seek_health,
            "proposal": self._seek_proposal,
            "churn risk": self._seek_risk,
            "evidence": self._seek_evidence,
        }
        self.machine = ""
        self._risk_id = ""

    @property
    def missing(self) -> str | None:
        """First link that has not closed yet, None when the chain is complete."""
        return next(iter(self._seekers), None)

    def advance(self) -> Iterator[Link]:
        """Look for the next links.

        Yields
        ------
        Link
            Each link that closed since the last call, in order.
        """
        while (name := self.missing) is not None:
            found = self._seekers[name]()
            if found is None:
                return
            del self._seekers[name]
            yield Link(name, found)

    def get(self, path: str) -> Any:  # noqa: ANN401  # JSON
        """Read a resource.

        Parameters
        ----------
        path : str
            Path below the API's address.

        Returns
        -------
        Any
            The decoded JSON, None if the server does not answer with one yet.
        """
        try:
            answer = self._pool.request("GET", self._url + path)
        except urllib3.exceptions.HTTPError:
            return None
        return answer.json() if answer.status == 200 else None

    def _seek_sample(self) -> str | None:
        machines = self._items("/v1/machines?limit=500")
        heard = [machine for machine in machines if machine["newest_sample_at"] is not None]
        if not heard:
            return None
        newest = max(heard, key=lambda machine: str(machine["newest_sample_at"]))
        return f"{len(heard)} machines heard of, newest sample of {newest['key']} in the store"

    def _seek_health(self) -> str | None:
        judged = [
            machine
            for machine in self._items("/v1/machines?limit=500")
            if machine["health"] is not None and machine["health"]["health_pct"] is not None
        ]
        if not judged:
            return None
        worst = min(judged, key=lambda machine: float(machine["health"]["health_pct"]))
        return (
            f"{len(judged)} machines judged, worst is {worst['key']} "
            f"at {worst['health']['health_pct']:.0f} %"
        )

    def _seek_proposal(self) -> str | None:
        proposals = self._open_proposals()
        if not proposals:
            return None
        first = proposals[0]
        return (
            f"on {str(first['as_of'])[:10]}: visit {first['machine_key']} "
            f"by {str(first['visit_by'])[:10]}, "
            f"{100 * first['failure_probability']:.0f} % likely to fail within "
            f"{first['horizon_days']} days; waiting costs "
            f"{_money(first['cost_of_waiting_per_day'])} a day"
        )

    def _seek_risk(self) -> str | None:
        for proposal in self._open_proposals():
            machine = str(proposal["machine_key"])
            customer = self.get(f"/v1/customers/{proposal['customer_key']}")
            risk = customer["risk_detail"] if customer else None
            if not risk:
                continue
            for driver in risk["drivers"]:
                if driver["machine_key"] == machine:
                    self.machine, self._risk_id = machine, str(risk["id"])
                    return (
                        f"{customer['name']} leaves by {risk['renewal_on']} "
                        f"with {100 * risk['churn_probability']:.0f} % "
                        f"({100 * risk['lower']:.0f}-{100 * risk['upper']:.0f} %), "
                        f"{_money(risk['money_at_risk_per_year'])} a year at risk; "
                        f"{machine} adds {driver['money_per_year']:,.0f} of it"
                    )
        return None

    def _seek_evidence(self) -> str | None:
        root = self.get(f"/v1/evidence/risk/{self._risk_id}?depth=8")
        if root is None:
            return None
        for path in _paths(root):
            samples = path[-1]["samples"]
            kinds = [str(node["kind"]) for node in path]
            if samples and samples["machine_key"] == self.machine and samples["n_samples"] > 0:
                return f"{' > '.join(kinds)}: {samples['n_samples']:,} samples of {self.machine}"
        return None

    def _open_proposals(self) -> list[Json]:
        return [item for item in self._items("/v1/proposals?limit=500") if item["is_open"]]

    def _items(self, path: str) -> list[Json]:
        page = self.get(path)
        return list(page["items"]) if page else []


def _paths(node: Json) -> Iterator[list[Json]]:
    children = node["children"]
    if not children:
        yield [node]
    for child in children:
        for path in _paths(child):
            yield [node, *path]


def _money(money: Json) -> str:
    return f"{money['amount']:,.0f} {money['currency']}"
