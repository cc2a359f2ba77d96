"""Settings: everything in the sample is legal, every mistake is explained."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from edge_agent.errors import SettingsError
from edge_agent.settings import (
    OutboxSettings,
    Settings,
)
from edge_agent.settings_file import SAMPLE_CONFIG, load_settings, read_secret
from edge_agent.settings_mqtt import MqttSettings, MqttSignalSettings, MqttTopicSettings
from edge_agent.settings_opcua import (
    Monitoring,
    OpcuaNodeSettings,
    OpcuaSettings,
    sized_queue,
)
from edge_agent.settings_reader import ReaderSettings
from edge_agent.settings_status import StatusSettings, legal_name_of
from edge_agent.settings_uplink import UplinkSettings
from ingest.telemetry import is_legal_name

SAMPLE = SAMPLE_CONFIG.read_text()


def mistake(folder: Path, right: str, wrong: str) -> str:
    """What is said about the sample with one thing changed."""
    assert right in SAMPLE
    path = folder / "edge.toml"
    path.write_text(SAMPLE.replace(right, wrong, 1))
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    return str(caught.value)


def test_the_sample_is_legal_and_says_the_defaults() -> None:
    sample = load_settings(SAMPLE_CONFIG)

    defaults: dict[type[BaseModel], BaseModel] = {
        OutboxSettings: sample.outbox,
        UplinkSettings: sample.uplink,
        OpcuaSettings: sample.opcua[0],
        MqttSettings: sample.mqtt[0],
        StatusSettings: sample.status,
        ReaderSettings: sample.reader,
    }
    for model, shown in defaults.items():
        for name, field in model.model_fields.items():
            if not field.is_required() and field.default is not None:
                assert getattr(shown, name) == field.default, name


def test_the_sample_explains_every_option_in_a_sentence() -> None:
    lines = SAMPLE.splitlines()
    models: list[type[BaseModel]] = [
        Settings, UplinkSettings, OutboxSettings, OpcuaSettings, OpcuaNodeSettings, MqttSettings,
        MqttTopicSettings, MqttSignalSettings, StatusSettings, ReaderSettings,
    ]  # fmt: skip
    tables = {"uplink", "outbox", "status", "reader", "opcua", "mqtt", "nodes", "topics", "signals"}

    for name in {name for model in models for name in model.model_fields} - tables:
        # What makes no sense beside the others is shown as a comment.
        shown = (f"{name} = ", f"# {name} = ")
        places = [n for n, line in enumerate(lines) if line.startswith(shown)]
        assert places, f"{name} is not in the sample"
        # The table that shows a key first explains it.
        comment = lines[places[0] - 1]
        assert re.fullmatch(r"# .{15,}\.", comment), f"{name}: {comment!r} is no sentence"


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            "publishing_interval_ms = 250.0",
            "publishing_interval_ms = -5",
            "edge.toml, opcua[0].publishing_interval_ms: -5 is not above 0; write the interval in "
            "milliseconds, for example 500",
        ),
        (
            "publishing_interval_ms = 250.0",
            "publishing_interval = 5",
            "edge.toml, opcua[0].publishing_interval: unknown key; did you mean "
            "publishing_interval_ms?",
        ),
        (
            'site = "mill-7"',
            'site = "mill-7"\nzzz = 1',
            "edge.toml, zzz: unknown key; known keys are site, agent, state_dir, uplink, outbox, "
            "status, reader, opcua, mqtt",
        ),
        (
            'unit = "mm/s"',
            'unit = "m/s"',
            "edge.toml, opcua[0].nodes[0].unit: 'm/s' is not the unit of 'vibration_mm_s', which "
            "is 'mm/s'; write unit = 'mm/s' or correct the signal's name",
        ),
        (
            'signal = "vibration_mm_s"',
            'signal = "vibration"',
            "edge.toml, opcua[0].nodes[0].signal: 'vibration' ends in no known unit; end it in "
            "one, for example vibration_c for °C or vibration_ratio for a bare number",
        ),
        (
            'site = "mill-7"',
            'site = "mill 7"',
            "edge.toml, site: 'mill 7' is not a legal name; use letters, digits and _ . - , at "
            "most 64, beginning with a letter or digit",
        ),
        (
            'node_id = "s=',
            'node_id = "ns=2;s=',
            "edge.toml, opcua[0].nodes[0].node_id: 'ns=2;s=press-04.vibration_mm_s' is not a node "
            'identifier; write it without its namespace index, "s=" before a text or "i=" before '
            'a number, for example "s=press-04.vibration_mm_s"',
        ),
        (
            "queue_size = 1000",
            'queue_size = "many"',
            "edge.toml, opcua[0].queue_size: 'many' is not a whole number; write how many values "
            "the server keeps for each node, for example 1000",
        ),
        (
            "compress = false",
            "compress = 0",
            "edge.toml, uplink.compress: 0 is not true or false; write true or false",
        ),
        (
            "https://ingest",
            "http://ingest",
            "edge.toml, uplink.url: 'http://ingest.example.com:8443' would send the token "
            "unencrypted over the network; write https (http is for loopback only)",
        ),
        (
            'tls_ca_file = "/var/lib/staybolt-edge/pki/broker-ca.pem"',
            "",
            "edge.toml, mqtt[0].tls_ca_file: missing, but broker.example.com is another machine; "
            "name the file with the certificate of the broker's authority so that the connection "
            "is encrypted",
        ),
        (
            'security = "Basic256Sha256-SignAndEncrypt"',
            'security = "none-on-loopback"',
            "edge.toml, opcua[0].security: none-on-loopback, but 10.0.0.5 is another machine; "
            "leave the line out for the secure default",
        ),
        (
            'password_file = "/var/lib/staybolt-edge/hall-1_password"',
            "",
            "edge.toml, opcua[0].password_file: missing beside user; give both, or neither for "
            "anonymous",
        ),
        (
            '{machine}/telemetry"\n',
            '+/telemetry"\n',
            "edge.toml, mqtt[0].topics[0].topic: 'plant/mill-7/+/telemetry' names no machine; "
            "write {machine} for the level that names it, or give machine",
        ),
        (
            'site = "mill-7"',
            "",
            "edge.toml, site: missing; use letters, digits and _ . - , at most 64, beginning with "
            "a letter or digit",
        ),
    ],
)
def test_a_mistake_is_told_with_file_key_value_and_remedy(
    tmp_path: Path, right: str, wrong: str, said: str
) -> None:
    assert mistake(tmp_path, right, wrong) == said


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(
        SAMPLE
        .replace("queue_size = 1000", "queue_size = 0")
        .replace("compress = false", 'compress = "no"')
        .replace("port = 8883", "port = 88830")
    )

    with pytest.raises(SettingsError) as caught:
        load_settings(path)

    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "edge.toml, uplink.compress",
        "edge.toml, opcua[0].queue_size",
        "edge.toml, mqtt[0].port",
    ]


def test_text_that_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    said = mistake(tmp_path, 'site = "mill-7"', "site = mill-7")

    assert said.startswith("edge.toml is not TOML: ")
    assert "at line 5" in said


def test_a_missing_file_is_told_with_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not there; write one with `staybolt-edge sample"):
        load_settings(tmp_path / "edge.toml")


def test_nothing_to_read_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(SAMPLE[: SAMPLE.index("# One [[opcua]]")])

    with pytest.raises(SettingsError, match="nothing to read; add at least one"):
        load_settings(path)


def test_the_same_series_twice_is_a_mistake(tmp_path: Path) -> None:
    start = SAMPLE.index("[[opcua.nodes]]\n")
    node = SAMPLE[start : SAMPLE.index("# A node may also")]
    path = tmp_path / "edge.toml"
    path.write_text(SAMPLE.replace(node, node + node))

    with pytest.raises(SettingsError) as caught:
        load_settings(path)

    assert "opcua[0].nodes[1]: 'press-04 vibration_mm_s' is given by opcua[0].nodes[0]" in str(
        caught.value
    )


def test_relative_paths_are_meant_from_the_folder_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(SAMPLE.replace("/var/lib/staybolt-edge/", "").replace("/var/lib/", ""))

    settings = load_settings(path)

    assert settings.state_dir == tmp_path / "staybolt-edge"
    assert settings.uplink.token_file == tmp_path / "uplink_token"
    assert settings.opcua[0].trusted_servers_dir == tmp_path / "pki" / "trusted"
    assert settings.mqtt[0].tls_ca_file == tmp_path / "pki" / "broker-ca.pem"


@given(
    text=st.text(max_size=40),
    key=st.sampled_from(["site", "url", "queue_size", "node_id", "topic", "host", "retry_max_s"]),
)
def test_no_value_breaks_the_reader(
    tmp_path_factory: pytest.TempPathFactory, text: str, key: str
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "edge.toml"
    path.write_text(re.sub(rf"(?m)^{key} = .*$", lambda _: f"{key} = {text}", SAMPLE, count=1))

    said = "edge.toml"
    try:
        load_settings(path)
    except SettingsError as error:
        said = str(error)

    assert said.startswith("edge.toml")


def test_a_secret_is_read_and_never_repeated(tmp_path: Path) -> None:
    good, empty, two = (tmp_path / name for name in ("good", "empty", "two"))
    good.write_text("s3cret\n")
    empty.write_text("\n")
    two.write_text("s3cret\nmore\n")

    assert read_secret(good) == "s3cret"
    for path in (empty, two, tmp_path / "missing"):
        with pytest.raises(SettingsError) as caught:
            read_secret(path)
        assert str(path) in str(caught.value)
        assert "s3cret" not in str(caught.value)


# --- how a node is watched -----------------------------------------------------------------------

NODE = {"namespace_uri": "urn:x", "node_id": "i=1", "machine": "m", "signal": "a_c", "unit": "°C"}
SERVER = {"name": "s", "endpoint": "opc.tcp://h:4840", "trusted_servers_dir": "t"}


def server_with(node: dict[str, object], **server: object) -> OpcuaSettings:
    return OpcuaSettings.model_validate({**SERVER, **server, "nodes": [{**NODE, **node}]})


def test_what_a_node_says_overrules_its_server() -> None:
    server = server_with(
        {"sampling_interval_ms": 50.0, "queue_size": 7, "trigger": "status"},
        sampling_interval_ms=1000.0,
        queue_size=9,
        deadband_percent=2.0,
    )

    assert server.monitoring_of(server.nodes[0]) == Monitoring(50.0, 7, "status", 0.0, 2.0)


def test_an_absolute_deadband_takes_the_place_of_the_servers_percentage() -> None:
    server = server_with({"deadband_absolute": 0.5}, deadband_percent=2.0)

    assert server.monitoring_of(server.nodes[0])[3:] == (0.5, 0.0)


@given(
    publishing_ms=st.floats(1.0, 60_000.0),
    sampling_ms=st.floats(0.01, 3_600_000.0),
)
def test_a_sized_queue_holds_two_publishing_intervals_and_a_server_can_take_it(
    publishing_ms: float, sampling_ms: float
) -> None:
    size = sized_queue(publishing_ms, sampling_ms)

    assert 2 <= size <= 100_000
    assert size * sampling_ms >= 2 * publishing_ms * (1 - 1e-9) or size == 100_000


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"node_id": None}, "node_id: missing; give it, or browse_path"),
        ({"browse_path": ["a"]}, "browse_path: given beside node_id; give one of the two"),
        (
            {"deadband_absolute": 1.0, "deadband_percent": 1.0},
            "deadband_percent: given beside deadband_absolute",
        ),
        ({"queue_size": 0}, "queue_size"),
        ({"trigger": "always"}, "trigger"),
        ({"priority": "urgent"}, "priority"),
    ],
)
def test_a_node_that_contradicts_itself_is_refused(node: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        server_with(node)


def test_a_browse_path_may_pass_through_other_namespaces() -> None:
    node: dict[str, object] = {"node_id": None, "browse_path": ["a", "nsu=http://di/x;Set", "b"]}

    server = server_with(node)

    assert server.nodes[0].qualified_path == (
        ("urn:x", "a"),
        ("http://di/x", "Set"),
        ("urn:x", "b"),
    )
    assert server.nodes[0].place == "a/nsu=http://di/x;Set/b"


@pytest.mark.parametrize(
    ("given_of_user", "said"),
    [
        ({"user_certificate_file": "c"}, "user_key_file: missing beside user_certificate_file"),
        (
            {"user_certificate_file": "c", "user_key_file": "k", "user": "u", "password_file": "p"},
            "user: given beside user_certificate_file",
        ),
    ],
)
def test_a_user_is_known_in_one_way(given_of_user: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        server_with({}, **given_of_user)


@given(st.text())
def test_any_host_name_becomes_a_legal_name(host: str) -> None:
    assert is_legal_name(legal_name_of(host))


# --- where samples go ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "mqtt", "url": "https://x"}, "url: 'https://x' is not an mqtt or mqtts address"),
        ({"kind": "mqtt", "url": "mqtt://x"}, "would send the password unencrypted"),
        (
            {"kind": "mqtt", "url": "mqtts://x", "token_file": "t"},
            'token_file: means nothing with kind = "mqtt"; leave it out',
        ),
        ({"kind": "mqtt", "url": "mqtts://x", "user": "u"}, "password_file: missing beside user"),
        ({"url": "https://x"}, "token_file: missing"),
        (
            {"url": "https://x", "user": "u", "password_file": "p"},
            "user: influxdb2 knows no users; give token_file in its place",
        ),
        (
            {"url": "https://x", "token_file": "t", "user": "u", "password_file": "p"},
            "user: given beside token_file",
        ),
        (
            {"url": "https://x", "write_api": "influxdb3", "token_file": "t", "org": "o"},
            "org: influxdb3 has no organisations",
        ),
        (
            {"url": "https://x", "token_file": "t", "tls_key_file": "k"},
            "tls_certificate_file: missing beside tls_key_file",
        ),
    ],
)
def test_a_mistake_about_the_uplink_is_told(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        UplinkSettings.model_validate(given)


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "mqtt", "url": "mqtt://127.0.0.1"},
        {"kind": "mqtt", "url": "mqtts://x:8884", "tls_certificate_file": "c", "tls_key_file": "k"},
        {"url": "http://localhost:8086", "write_api": "influxdb1"},
        {"url": "https://x", "token_file": "t", "org": "o"},
    ],
)
def test_each_kind_of_uplink_can_be_chosen(given: dict[str, object]) -> None:
    assert UplinkSettings.model_validate(given).url == given["url"]
