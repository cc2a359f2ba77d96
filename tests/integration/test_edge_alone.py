"""The base install is the edge agent: it must work, and fit, on a field device."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.availability import ROOT

UV = ROOT / ".tools" / "bin" / "uv"
MAX_INSTALLED_MB = 120
HEAVY = ("scipy", "fastapi", "duckdb", "sqlalchemy", "pyarrow", "influxdb_client")


# As deploy/README.md installs it: bytecode of modules that never run would add a third.
WITHOUT_BYTECODE = {**os.environ, "UV_COMPILE_BYTECODE": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=240, env=WITHOUT_BYTECODE
    )


@pytest.fixture(scope="module")
def field_device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with nothing but the wheel's base install."""
    assert UV.exists(), f"{UV} is not there; run `make setup`"
    folder = tmp_path_factory.mktemp("field-device")
    python = folder / "env" / "bin" / "python"
    for command in (
        (UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT),
        (UV, "venv", "--quiet", folder / "env"),
        (UV, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r",
         ROOT / "requirements" / "edge.txt"),
    ):  # fmt: skip
        done = run(*command)
        assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("staybolt-*.whl")
    done = run(UV, "pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_base_install_checks_its_settings_without_any_heavy_library(field_device: Path) -> None:
    program, python = (field_device / "env" / "bin" / name for name in ("staybolt-edge", "python"))
    config = field_device / "edge.toml"
    sample = run(program, "sample-config")
    config.write_text(sample.stdout.replace("/var/lib/staybolt-edge", str(field_device / "state")))

    checked = run(program, "check", "--config", config)

    assert "Traceback" not in checked.stderr + checked.stdout
    assert "edge.toml" in checked.stdout + checked.stderr
    for library in HEAVY:
        assert run(python, "-c", f"import {library}").returncode != 0, f"{library} came along"


def test_the_base_install_fits_a_field_device(
    field_device: Path, show: Callable[[str], None]
) -> None:
    files = [path for path in (field_device / "env").rglob("*") if path.is_file()]

    size_mb = sum(path.stat().st_size for path in files if not path.is_symlink()) / 1e6

    show(f"base install: {size_mb:.1f} MB on disk")
    assert size_mb <= MAX_INSTALLED_MB
