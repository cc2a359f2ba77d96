"""Asks a running plant for faults, from a test or a command line."""

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from simulators.errors import DeliveryError, ScenarioError, SimulatorError
from simulators.loopback import LOOPBACK

_TIMEOUT_S = 60.0


class ControlClient:
    """A connection to the control port of a plant.

    Parameters
    ----------
    port : int
        Port of 127.0.0.1.
    token : str
        What control.token holds.

    Raises
    ------
    DeliveryError
        If nobody answers there, or the token is wrong.
    """

    def __init__(self, port: int, token: str) -> None:
        try:
            self._link = socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_S)
        except OSError as error:
            msg = f"the plant's control port {LOOPBACK}:{port} does not answer: {error}"
            raise DeliveryError(msg) from error
        self._file = self._link.makefile("rwb")
        try:
            self._say({"token": token})
        except SimulatorError:
            self.close()
            raise

    @classmethod
    def of_plant(cls, folder: Path) -> Self:
        """Connect to the plant of a folder, or to a proxy.

        Parameters
        ----------
        folder : Path
            Its ``--dir``; plant.json or proxy.json in it says where the control port is.

        Returns
        -------
        ControlClient
            Connected.

        Raises
        ------
        ScenarioError
            If there is no plant with a control port.
        """
        names = ("plant.json", "proxy.json")
        path = next((folder / name for name in names if (folder / name).exists()), folder)
        try:
            control = json.loads(path.read_text(encoding="utf-8"))["control"]
            token = Path(control["token_file"]).read_text(encoding="utf-8").strip()
        except (OSError, ValueError, KeyError, TypeError) as error:
            msg = (
                f"--dir: {folder} holds no running plant with a control port; start one with "
                "`staybolt-sim run --dir ... --control`"
            )
            raise ScenarioError(msg) from error
        return cls(control["port"], token)

    def ask(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - as the request has it
        """Ask for a fault.

        Parameters
        ----------
        **request
            Its keys, such as ``do="network", server="pumps", mode="half-open"``; see
            docs/simulated-faults.md.

        Returns
        -------
        dict
            The plant's answer.

        Raises
        ------
        ScenarioError
            If the plant refuses, with its reason.
        """
        return self._say(request)

    def clear(self) -> None:
        """Mend everything that can be mended."""
        self.ask(do="clear")

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _say(self, document: dict[str, Any]) -> dict[str, Any]:
        try:
            self._file.write(json.dumps(document).encode() + b"\n")
            self._file.flush()
            line = self._file.readline()
        except OSError as error:
            msg = f"the plant does not answer any more: {error}"
            raise DeliveryError(msg) from error
        if not line:
            msg = "the plant hung up; see what it says"
            raise DeliveryError(msg)
        try:
            answer: dict[str, Any] = json.loads(line)
            is_done = answer.pop("ok")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"no plant's control port answers there, but something else: {line[:60]!r}"
            raise DeliveryError(msg) from error
        if not is_done:
            raise ScenarioError(str(answer.get("error")))
        return answer
