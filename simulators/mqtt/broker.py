"""The plant's MQTT broker: iotcore in a child process, on loopback, with user and password.

iotcore listens on every address unless told, and speaks MQTT 5 only when its settings come from
a TOML file; both are taken care of here. The file holds passwords, so its owner alone may read it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import iotcore

from simulators.errors import StartError
from simulators.keys import take_password, write_private
from simulators.loopback import LOOPBACK

EDGE_USER: Final = "edge"
PLANT_USER: Final = "plant"

_SETTINGS: Final = """\
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
# Messages wait for a slow subscriber in segments; together they hold a whole demo several times.
max_segment_size = 16777216
max_segment_count = 8
[v5.1]
name = "plant"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 65536
max_inflight_count = 200
dynamic_filters = true
[v5.1.connections.auth]
{edge_user} = "{edge_password}"
{plant_user} = "{plant_password}"
"""


@dataclass(frozen=True, slots=True)
class Secret:
    """A user of the broker.

    Parameters
    ----------
    user : str
        Name.
    password : str
        Password.
    password_file : Path
        Where the password is kept, readable by its owner alone.
    """

    user: str
    password: str
    password_file: Path

    def __repr__(self) -> str:
        return f"Secret(user={self.user!r}, password_file={str(self.password_file)!r})"


class Broker:
    """A running broker.

    Parameters
    ----------
    folder : Path
        Where its settings and passwords are kept.
    port : int
        Port of 127.0.0.1 to listen on.
    """

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.port = port
        self.edge = _take_secret(folder, EDGE_USER)
        self.plant = _take_secret(folder, PLANT_USER)
        settings = folder / "broker.toml"
        text = _SETTINGS.format(
            host=LOOPBACK,
            port=port,
            edge_user=EDGE_USER,
            edge_password=self.edge.password,
            plant_user=PLANT_USER,
            plant_password=self.plant.password,
        )
        write_private(settings, text.encode())
        self._broker = iotcore.Broker(config_path=str(settings))

    def start(self) -> None:
        """Start the broker and wait until it listens.

        Raises
        ------
        StartError
            If its port is in use or it does not come up.
        """
        try:
            self._broker.start()
        except (OSError, RuntimeError) as error:
            msg = f"MQTT broker on {LOOPBACK}:{self.port}: {error}; choose another port"
            raise StartError(msg) from error

    def stop(self) -> None:
        """Stop the broker; harmless when it does not run."""
        self._broker.stop()


def _take_secret(folder: Path, user: str) -> Secret:
    return Secret(user, take_password(folder, user), folder / f"{user}.password")
