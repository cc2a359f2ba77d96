"""The control port of a running plant: faults are asked for in lines of JSON.

One request a line, one answer a line: ``{"ok": true, …}`` or ``{"ok": false, "error": …}``. The
first line of a connection is ``{"token": …}``; the token lies in a file that its owner alone may
read. It listens on loopback.
"""

import asyncio
import hmac
import json
import logging
import secrets
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from simulators.errors import SimulatorError
from simulators.faults.network import Direction, ProxyMode
from simulators.faults.sensors import SensorFaultKind
from simulators.keys import write_private
from simulators.loopback import listen, port_of

logger = logging.getLogger(__name__)

_MOST_LINE_BYTES: Final = 65_536

_Bytes = Annotated[int, Field(ge=1, le=2**53)]


class _Request(BaseModel):
    # What bounds a number has is the fault's own business; here it must be one.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SensorRequest(_Request):
    """Let a sensor fail from now on."""

    do: Literal["sensor"]
    machine: str
    signal: str
    fault: SensorFaultKind
    for_s: Annotated[float, Field(ge=0.001, le=1e9)] = 1e9
    size: float | None = None
    every_h: float | None = None
    lasting_h: float | None = None


class ServerRequest(_Request):
    """Restart an OPC UA server, or give it another certificate."""

    do: Literal["server"]
    server: str
    what: Literal["restart", "rotate-certificate", "expire-certificate"]
    down_s: Annotated[float, Field(ge=0, le=3600)] = 0.0


class NodeRequest(_Request):
    """Delete a node of an OPC UA server, or make it again."""

    do: Literal["node"]
    machine: str
    signal: str
    what: Literal["vanish", "bring-back"]


class NetworkRequest(_Request):
    """Do something to the connections of a server; ``mqtt`` is the broker."""

    do: Literal["network"]
    server: str
    mode: ProxyMode
    bytes_per_s: float = 10_000.0
    delay_s: float = 0.0
    piece_bytes: _Bytes = 3
    every_bytes: _Bytes = 1000
    jitter_s: float = 0.0
    after_bytes: _Bytes = 1000
    direction: Direction | None = None


class DeliveryRequest(_Request):
    """Deliver badly from now on."""

    do: Literal["delivery"]
    duplicate_probability: Annotated[float, Field(ge=0, le=1)] = 0.0
    late_probability: Annotated[float, Field(ge=0, le=1)] = 0.0
    late_s: Annotated[float, Field(gt=0)] = 30.0
    clock_offset_s: float = 0.0
    clock_skew_ppm: float = 0.0


class ClearRequest(_Request):
    """Mend everything that can be mended."""

    do: Literal["clear"]


class StatusRequest(_Request):
    """Say what is wrong now."""

    do: Literal["status"]


FaultRequest: TypeAlias = (
    SensorRequest
    | ServerRequest
    | NodeRequest
    | NetworkRequest
    | DeliveryRequest
    | ClearRequest
    | StatusRequest
)
_ADAPTER: Final[TypeAdapter[FaultRequest]] = TypeAdapter(
    Annotated[FaultRequest, Field(discriminator="do")]
)
REQUESTS: Final = (
    SensorRequest,
    ServerRequest,
    NodeRequest,
    NetworkRequest,
    DeliveryRequest,
    ClearRequest,
    StatusRequest,
)


class FaultTarget(Protocol):
    """What a plant does when it is asked for a fault."""

    async def handle(self, request: FaultRequest) -> dict[str, Any]:
        """Carry out a request.

        Parameters
        ----------
        request : FaultRequest
            What is asked for.

        Returns
        -------
        dict
            What there is to say.

        Raises
        ------
        SimulatorError
            If there is no such machine, node or server.
        """
        ...


def parse_request(line: bytes) -> FaultRequest:
    """Read a request.

    Parameters
    ----------
    line : bytes
        Anything.

    Returns
    -------
    FaultRequest
        What is asked for.

    Raises
    ------
    ValueError
        What is wrong with it, in words.
    """
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "request"
        msg = f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}"
        raise ValueError(msg) from error


class ControlServer:
    """Takes requests for faults.

    Parameters
    ----------
    target : FaultTarget
        Who carries them out.
    token_file : Path
        Where the token is written.
    """

    def __init__(self, target: FaultTarget, token_file: Path) -> None:
        self._target = target
        self._token = secrets.token_urlsafe(24)
        self.token_file = token_file
        write_private(token_file, self._token.encode() + b"\n")
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Port of 127.0.0.1 it listens on."""
        return port_of(self._server)

    async def start(self, port: int = 0) -> None:
        """Begin to listen.

        Parameters
        ----------
        port : int
            Port of 127.0.0.1, 0 for any free one.

        Raises
        ------
        StartError
            If the port is in use.
        """
        self._server = await listen(
            self._serve, port, "--control-port", most_line_bytes=_MOST_LINE_BYTES
        )

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_known = False
        try:
            while line := await reader.readline():
                if not is_known:
                    is_known = self._is_token(line)
                    answer: dict[str, Any] = {"ok": is_known}
                    if not is_known:
                        answer["error"] = "the first line must be the token of control.token"
                else:
                    answer = await self._answer(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
                if not is_known:
                    return
        except ConnectionError:
            return
        except ValueError:
            # A line without end: where the next one would begin can't be known.
            msg = f"request: longer than {_MOST_LINE_BYTES} bytes; send one JSON object a line"
            writer.write(json.dumps({"ok": False, "error": msg}).encode() + b"\n")
        finally:
            writer.close()

    def _is_token(self, line: bytes) -> bool:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return False
        token = said.get("token") if isinstance(said, dict) else None
        return isinstance(token, str) and hmac.compare_digest(
            token.encode("utf-8", "replace"), self._token.encode()
        )

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, **await self._target.handle(parse_request(line))}
        except (ValueError, SimulatorError) as error:
            return {"ok": False, "error": str(error)}
        except Exception as error:
            # The top of the port: whatever this is, the plant goes on, and whoever asked is told.
            logger.exception("a fault could not be made")
            return {"ok": False, "error": f"the fault could not be made: {error!r}"}
