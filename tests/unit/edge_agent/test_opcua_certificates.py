"""Certificates of a connection: the new one is used unless refused, the ending one is told."""

import datetime
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.counters import Counters
from edge_agent.key_files import keys_folder
from edge_agent.keys import OwnKeys, ensure_keys, load_keys
from edge_agent.sources.opcua_certificates import CertificateWatch


@pytest.fixture
def old(tmp_path: Path) -> OwnKeys:
    return ensure_keys(tmp_path / "state")[0]


def renew(tmp_path: Path) -> OwnKeys:
    new, _ = ensure_keys(tmp_path / "other")
    for path in (new.private_key_path, new.certificate_path):
        shutil.copy(path, keys_folder(tmp_path / "state") / path.name)
    return new


def test_new_files_are_used_for_the_next_connection(tmp_path: Path, old: OwnKeys) -> None:
    watch = CertificateWatch("x", old, tmp_path / "state", Counters())
    assert watch.newest() == old

    new = renew(tmp_path)

    assert watch.newest().certificate == new.certificate
    assert load_keys(tmp_path / "state").certificate == new.certificate


def test_a_refused_one_gives_way_to_the_one_before(tmp_path: Path, old: OwnKeys) -> None:
    watch = CertificateWatch("x", old, tmp_path / "state", Counters())
    new = renew(tmp_path)

    watch.refused(watch.newest())
    watch.refused(old)

    assert watch.newest() == old
    assert new.certificate != old.certificate


def test_half_of_a_new_pair_changes_nothing(tmp_path: Path, old: OwnKeys) -> None:
    watch = CertificateWatch("x", old, tmp_path / "state", Counters())
    new, _ = ensure_keys(tmp_path / "other")

    shutil.copy(new.private_key_path, keys_folder(tmp_path / "state"))

    assert watch.newest() == old


def test_an_ending_certificate_is_told_once_a_day_and_counted(
    tmp_path: Path, old: OwnKeys, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters()
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3)
    watch = CertificateWatch("x", replace(old, not_valid_after=soon), tmp_path / "state", counters)

    watch.warn(None)
    watch.warn(None)

    assert counters.certificate_warnings == 1
    assert f"our own certificate ends on {soon:%Y-%m-%d}" in caplog.text
