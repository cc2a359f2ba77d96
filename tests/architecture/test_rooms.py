"""Who may import whom, beyond what the import contracts in pyproject.toml can say."""

import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tests.servers.availability import ROOT

PACKAGES = ("edge_agent", "ingest", "analytics", "api", "simulators")


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def test_analytics_imports_only_numpy_and_scipy() -> None:
    graph = grimp.build_graph("analytics", include_external_packages=True)

    outside = {
        imported.split(".")[0]
        for module in graph.modules
        if module.split(".")[0] == "analytics"
        for imported in graph.find_modules_directly_imported_by(module)
    } - {"analytics", *sys.stdlib_module_names}

    assert outside <= {"numpy", "scipy"}, f"analytics imports {sorted(outside)}"


@pytest.mark.parametrize("module", ["os", "time", "datetime", "logging", "random", "pathlib"])
def test_analytics_has_no_clock_file_log_or_global_chance(module: str) -> None:
    graph = grimp.build_graph("analytics", include_external_packages=True)

    users = graph.find_modules_that_directly_import(module) if module in graph.modules else set()

    assert users == set()


def test_the_edge_agent_never_writes_to_a_machine() -> None:
    forbidden = re.compile(
        r"\.(write_value|write_values|write_attribute|write_attributes|set_value|set_values"
        r"|set_attributes|call_method|write_params|set_writable)\("
    )

    found = [
        f"{path.name}:{number}"
        for path in sources("edge_agent")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if forbidden.search(line)
    ]

    assert found == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_query_is_built_from_values(package: str) -> None:
    """Values travel as bound parameters; an f-string with SQL words and braces is a hole."""
    query = re.compile(
        r"""f["'].*\b(SELECT|INSERT INTO|DELETE FROM|UPDATE|FROM)\b[^"']*\{""", re.IGNORECASE
    )
    prose = re.compile(r"\b(msg|print|logger|description|help|reason|remedy)\b")

    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources(package)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\b(execute|query|text)\(", line)
        and query.search(line)
        and not prose.search(line)
    ]

    assert found == []


@pytest.mark.parametrize("package", PACKAGES)
def test_files_stay_readable_in_one_sitting(package: str) -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in sources(package)
        if (count := len(path.read_text().splitlines())) > 450
    }

    assert long == {}


def test_the_running_agent_never_loads_the_opc_ua_library() -> None:
    """Only reader processes decode what OPC UA servers send, and only they need its memory; other
    libraries are loaded where the settings ask for what they do.
    """
    code = (
        "import sys; import edge_agent.__main__; import edge_agent.reader.source;"
        "import edge_agent.uplink_http;"
        "print(sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'asyncua', 'cryptography', 'google', 'paho', 'influxdb_client', 'scipy'}))"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert loaded.stdout.strip() == "[]"
