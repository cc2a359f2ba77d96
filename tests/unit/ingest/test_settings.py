"""Settings: the sample teaches every option, and every mistake is told with key and remedy."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ingest.errors import SettingsError
from ingest.secrets import read_secret
from ingest.settings import (
    SAMPLE_CONFIG,
    DuckDBSettings,
    Influx1Settings,
    Influx2Settings,
    IngestSettings,
    QuarantineSettings,
    TlsSettings,
    load_settings,
)
from ingest.settings_mqtt import (
    MqttReceiverSettings,
    SparkplugSettings,
    SparkplugSignalSettings,
)

SAMPLE = SAMPLE_CONFIG.read_text(encoding="utf-8")

LEAST = """
token_file = "tokens"
[store]
kind = "duckdb"
path = "telemetry.duckdb"
[quarantine]
path = "quarantine.sqlite"
"""


def load(tmp_path: Path, text: str) -> IngestSettings:
    path = tmp_path / "ingest.toml"
    path.write_text(text)
    return load_settings(path)


def other_tables() -> list[dict[str, Any]]:
    """Tables that the sample shows as comments, for other stores and for TLS."""
    blocks = re.findall(r"(?:^# (?:\[\[?[\w.]+\]?\]|\w+ = .*)\n)+", SAMPLE, re.MULTILINE)
    return [tomllib.loads(re.sub("^# ", "", block, flags=re.MULTILINE)) for block in blocks]


def test_the_sample_can_be_loaded_and_shows_the_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, SAMPLE)

    least = load(tmp_path, LEAST)
    # Without the line samples are kept for ever, which the sample's words say.
    assert settings.store == least.store.model_copy(update={"raw_days": 730.0})
    for name in IngestSettings.model_fields.keys() - {"token_file", "machines_file", "store"}:
        assert getattr(settings, name) == getattr(least, name)


def test_the_sample_explains_every_option() -> None:
    document = tomllib.loads(SAMPLE)
    tables: dict[str, dict[str, Any]] = {
        table["store"]["kind"]: table["store"] for table in other_tables() if "store" in table
    }
    (tls,) = (table["tls"] for table in other_tables() if "tls" in table)
    (mqtt,) = (table["mqtt"] for table in other_tables() if "mqtt" in table)
    (sparkplug,) = (table["sparkplug"] for table in other_tables() if "sparkplug" in table)

    def options(model: type[BaseModel]) -> set[str]:
        return set(model.model_fields)

    assert set(document) | {"tls", "mqtt", "sparkplug"} == options(IngestSettings)
    assert set(mqtt) == options(MqttReceiverSettings)
    assert set(sparkplug) == options(SparkplugSettings)
    assert set(sparkplug["signals"][0]) == options(SparkplugSignalSettings)
    assert set(document["store"]) == options(DuckDBSettings)
    assert set(document["quarantine"]) == options(QuarantineSettings)
    assert set(tables["influx1"]) == options(Influx1Settings)
    assert set(tables["influx2"]) == options(Influx2Settings)
    assert set(tls) == options(TlsSettings)


def test_every_store_of_the_sample_can_be_chosen(tmp_path: Path) -> None:
    head, tail = SAMPLE.split("[store]\n", 1)
    rest = tail[tail.index("# Where lines go") :]
    for table in other_tables():
        if "store" in table:
            lines = "".join(f'{key} = "{value}"\n' for key, value in table["store"].items())
            settings = load(tmp_path, f"{head}[store]\n{lines}{rest}")
            assert settings.store.kind == table["store"]["kind"]


def test_relative_paths_are_meant_from_the_folder_of_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, LEAST.replace('"tokens"', '"/run/tokens"'))

    assert settings.token_file == Path("/run/tokens")
    assert settings.quarantine.path == tmp_path / "quarantine.sqlite"
    assert isinstance(settings.store, DuckDBSettings)
    assert settings.store.path == tmp_path / "telemetry.duckdb"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('token_file = "x"', "ingest.toml, store: missing; add it"),
        ("prot = 1" + LEAST, "ingest.toml, prot: unknown key; did you mean port?"),
        ("zzz = 1" + LEAST, "ingest.toml, zzz: unknown key; known keys are host, port, "),
        ("port = 70000" + LEAST,
         "ingest.toml, port: 70000 can't be used; it should be less than or equal to 65535"),
        ("max_future_s = -5" + LEAST,
         "ingest.toml, max_future_s: -5 can't be used; it should be greater than or equal to 0"),
        (LEAST.replace('"duckdb"', '"duck"'),
         "ingest.toml, store.kind: 'duck' is no kind of store; write one of \"duckdb\", "
         '"influx2", "influx1"'),
        (LEAST.replace('kind = "duckdb"', ""), "ingest.toml, store.kind: missing; write one of"),
        (LEAST.replace('path = "telemetry', 'pth = "telemetry'),
         "ingest.toml, store.pth: unknown key; did you mean path?"),
        (LEAST + "max_row = 1", "ingest.toml, quarantine.max_row: unknown key; did you mean"),
        (LEAST.replace('kind = "duckdb"\npath', 'kind = "influx1"\ndatabase = "a b"\nurl'),
         "ingest.toml, store.database: 'a b' can't be used; it"),
        (LEAST.replace('kind = "duckdb"\npath', 'kind = "influx1"\ndatabase = "a"\nurl'),
         "ingest.toml, store.url: 'telemetry.duckdb'; write an address that begins with http://"),
        ('host = "0.0.0.0"' + LEAST,
         "ingest.toml, host: 0.0.0.0 can be reached from other machines, and tokens would travel "
         "in clear; add [tls]"),
        (LEAST + '[sparkplug]\nhost = "b"\nhost_id = "a"',
         "ingest.toml, sparkplug.tls_ca_file: missing, but b is another machine"),
        (LEAST + '[sparkplug]\nhost = "::1"\nhost_id = "a/b"',
         "ingest.toml, sparkplug.host_id: 'a/b'; write one level of a topic"),
        (LEAST + '[sparkplug]\nhost = "::1"\nhost_id = "a"\ngroups = ["#"]',
         "ingest.toml, sparkplug.groups.0: '#'; write one level of a topic"),
        (LEAST + '[sparkplug]\nhost = "::1"\nhost_id = "a"\nmachine = "x"',
         "ingest.toml, sparkplug.machine: 'x'; write a name with {group}, {node} or {device}"),
        (LEAST + '[sparkplug]\nhost = "::1"\nhost_id = "a"\nsites = { a = "b c" }',
         "ingest.toml, sparkplug.sites.a: 'b c' can't be used"),
        (LEAST + '[sparkplug]\nhost = "::1"\nhost_id = "a"\n[[sparkplug.signals]]\n'
         'sourc = "a"\nsignal = "b"',
         "ingest.toml, sparkplug.signals.0.sourc: unknown key; did you mean source?"),
        ("a =", "ingest.toml is not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_key_and_remedy(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(tmp_path, text)

    assert str(error.value).startswith(told) or f"\n{told}" in str(error.value)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        load(tmp_path, "prot = 1\nmax_past_days = 0" + LEAST)

    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("extra", ["allow_plain_http = true", ""])
def test_beyond_this_machine_it_needs_tls_or_a_word_that_a_proxy_has_it(
    tmp_path: Path, extra: str
) -> None:
    tls = "" if extra else '\n[tls]\ncertificate_file = "c.pem"\nkey_file = "k.pem"\n'

    settings = load(tmp_path, f'host = "::"\n{extra}{LEAST}{tls}')

    assert settings.host == "::"
    if settings.tls is not None:
        with pytest.raises(SettingsError, match=r"c\.pem and .*k\.pem can't be used .* both PEM"):
            settings.tls.check()


def test_a_missing_file_is_told_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"staybolt-ingest sample-config > "):
        load_settings(tmp_path / "ingest.toml")


@pytest.mark.parametrize("content", [None, "", "  \n", "one\ntwo", b"\xff"])
def test_a_secret_is_one_line_in_a_file(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(SettingsError) as error:
        read_secret(path)

    assert "one\ntwo" not in str(error.value)


def test_white_space_around_a_secret_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" s3cret \n")

    assert read_secret(tmp_path / "secret") == "s3cret"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            'host = "broker.example.com"',
            "mqtt.tls_ca_file: missing, but broker.example.com is another machine; name the file "
            "with the certificate of the broker's authority so that the connection is encrypted",
        ),
        (
            'host = "127.0.0.1"\nuser = "ingest"',
            "mqtt.password_file: missing beside user; give both, or neither",
        ),
        ('host = "127.0.0.1"\nhots = "x"', "mqtt.hots: unknown key; did you mean host?"),
        ('host = "127.0.0.1"\nshare = "a/b"', "mqtt.share: 'a/b' can't be used"),
    ],
)
def test_a_mistake_about_the_broker_is_told(tmp_path: Path, lines: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"{LEAST}[mqtt]\n{lines}\n")

    assert f"ingest.toml, {said}" in str(caught.value)
