"""Peers of the MQTT source for tests: a certificate authority, a guarded broker, publishers.

None of them shares code with the agent; the broker is Mosquitto.
"""

import contextlib
import datetime
import ipaddress
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from simulators.loopback import free_port
from tests.integration.edge_fixtures import BASE_TIME_NS, MS, SITE, Said
from tests.servers.availability import find_program
from tests.servers.launch import wait_for_port

CHANGES = ["subscribePattern", "publishClientReceive"]


class Authority:
    """Signs certificates."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign(name, self._key.public_key(), is_authority=True)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str, *, days: int = 90) -> "Identity":
        """A certificate for this name, with its key beside it."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key.public_key(), days=days)
        identity = Identity(
            self.folder / f"{self.name}-{name}.pem", self.folder / f"{self.name}-{name}.key"
        )
        identity.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        identity.key.touch(mode=0o600)
        identity.key.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return identity

    def _sign(
        self, name: str, key: ec.EllipticCurvePublicKey, *, is_authority: bool = False,
        days: int = 365,
    ) -> x509.Certificate:  # fmt: skip
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509
            .CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(
                x509.SubjectAlternativeName([
                    x509.DNSName("localhost"),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                ]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )


@dataclass(frozen=True)
class Identity:
    """Files of a certificate and its key."""

    certificate: Path
    key: Path


def _role(name: str, acls: list[tuple[str, str, bool]]) -> dict[str, object]:
    return {
        "rolename": name,
        "acls": [
            {"acltype": kind, "topic": topic, "allow": allow, "priority": len(acls) - number}
            for number, (kind, topic, allow) in enumerate(acls)
        ],
    }


class GuardedBroker:
    """Mosquitto with TLS, client certificates and rights, which can be ended and started again."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = authority
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Listen; what was kept before an orderly end is there again."""
        server = self.authority.issue("localhost")
        self._write_rights()
        library = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"user root\nper_listener_settings false\nlistener {self.port} 127.0.0.1\n"
            f"cafile {self.authority.path}\ncertfile {server.certificate}\n"
            f"keyfile {server.key}\nrequire_certificate true\nuse_identity_as_username true\n"
            f"plugin {library}\nplugin_opt_config_file {self.folder}/rights.json\n"
            f"persistence true\npersistence_location {self.folder}/\nmax_queued_messages 0\n"
            "allow_anonymous false\n"
        )
        log = self.folder / "mosquitto.log"
        with log.open("ab") as output:
            command = [find_program("mosquitto") or "mosquitto", "-c", str(config), "-v"]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_for_port(self.port, self._process, log)

    def stop(self) -> None:
        """As a service manager does it: sessions and messages are kept on disk."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def forget(self) -> None:
        """Lose everything that was kept."""
        (self.folder / "mosquitto.db").unlink()

    def said(self) -> str:
        return (self.folder / "mosquitto.log").read_text()

    def _write_rights(self) -> None:
        """The agent may read the plant's topics and no others; machines may write."""
        reading = [(kind, "plant/#", True) for kind in CHANGES]
        reading += [(kind, "#", False) for kind in CHANGES]
        rights = {
            "clients": [
                {"username": "agent", "roles": [{"rolename": "agent"}]},
                {"username": "machine", "roles": [{"rolename": "machine"}]},
            ],
            "roles": [
                _role("agent", [*reading, ("unsubscribePattern", "#", True)]),
                _role("machine", [("publishClientSend", "#", True)]),
            ],
            "defaultACLAccess": {
                "publishClientSend": False, "publishClientReceive": True,
                "subscribe": False, "unsubscribe": True,
            },
        }  # fmt: skip
        (self.folder / "rights.json").write_text(json.dumps(rights))


class Broker:
    """Mosquitto that can be killed and started again on the same port."""

    def __init__(self, folder: Path, lines: str = "allow_anonymous true\n") -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\nmax_queued_messages 0\n{lines}"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self.folder / "mosquitto.log"
        with log.open("ab") as output:
            command = [find_program("mosquitto") or "mosquitto", "-c", str(self._config)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_for_port(self.port, self._process, log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"


class Machine:
    """Publishes with QoS 1 what it keeps in its own list; each message once."""

    def __init__(self, port: int, authority: Authority | None = None) -> None:
        self.said = Said()
        self._next = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        if authority is not None:
            own = authority.issue("machine")
            self._client.tls_set(str(authority.path), str(own.certificate), str(own.key))
        self._client.connect("localhost", port)
        self._client.loop_start()

    def say(self, messages: int = 1, *, topic: str = "plant/pump-01/telemetry") -> None:
        for _ in range(messages):
            self._next += 1
            time_ns, value = BASE_TIME_NS + self._next * MS, float(self._next)
            self.publish(topic, {"time_ns": time_ns, "values": {"flow_m3_h": value}})
            self.said.samples.append(("pump-01", "flow_m3_h", time_ns, value, 0))

    def publish(self, topic: str, document: object, *, retain: bool = False) -> None:
        payload = document if isinstance(document, bytes) else json.dumps(document)
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def machine_on(port: int, authority: Authority | None = None) -> Iterator[Machine]:
    machine = Machine(port, authority)
    try:
        yield machine
    finally:
        machine.close()


def write_mqtt_config(folder: Path, store_url: str, mqtt: str, topics: str) -> Path:
    """Settings of an agent that reads one broker."""
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text("a-token")
    path = folder / "edge.toml"
    path.write_text(f"""
site = "{SITE}"
state_dir = "state"
[uplink]
url = "{store_url}"
token_file = "token"
retry_max_s = 0.5
[outbox]
group_commit_ms = 20
[[mqtt]]
name = "hall-2"
host = "127.0.0.1"
{mqtt}
{topics}
""")
    return path


def now_ms() -> int:
    return time.time_ns() // 1_000_000
