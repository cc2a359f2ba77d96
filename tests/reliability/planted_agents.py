"""The real program with one mistake in it, to show that a harness of real processes finds it.

Takes the name of the mistake first, then what ``staybolt-edge`` takes; nothing in the agent itself
knows of this.
"""

import sys
from collections.abc import Sequence
from typing import Any, Final

import edge_agent.agent as program
from edge_agent.__main__ import main
from tests.reliability.planted_bugs import PLANTED

PLANTED_AGENTS: Final = {
    "acknowledges what is in memory",
    "acknowledges when the write begins",
    "acknowledges what could not be written",
    "forgets before stored",
}
"""Those of the planted bugs that lie in the agent's own core or shell."""


def run_planted(name: str, arguments: Sequence[str]) -> int:
    """Run ``staybolt-edge`` with a mistake in it."""
    if name not in PLANTED_AGENTS:
        msg = f"no agent is called {name!r}; there are {sorted(PLANTED_AGENTS)}"
        raise ValueError(msg)
    parts = PLANTED[name]
    doubles: dict[str, Any] = {"AgentCore": parts.core, "Runtime": parts.runtime}
    for attribute, double in doubles.items():
        if not hasattr(program, attribute):
            msg = f"{program.__name__} makes no {attribute} any more; plant where it is made"
            raise RuntimeError(msg)
        setattr(program, attribute, double)
    return main(arguments)


if __name__ == "__main__":
    sys.exit(run_planted(sys.argv[1], sys.argv[2:]))
