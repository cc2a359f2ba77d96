"""Run benchmarks: a table for people, and one JSON object as the last line of each."""

import argparse
import importlib
import json
import pkgutil
import sys
from pathlib import Path

from tests import benchmarks
from tests.benchmarks.common import data_folder


def benchmark_names() -> list[str]:
    """Every module of this package that is a benchmark."""
    helpers = {"__main__", "common", "fleets", "peers", "detection_data", "plain_consumer"}
    return sorted({module.name for module in pkgutil.iter_modules(benchmarks.__path__)} - helpers)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks named, or all of them."""
    names = benchmark_names()
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measure speed and accuracy."
    )
    parser.add_argument("name", nargs="*", help=f"one or more of {', '.join(names)}; all if none")
    parser.add_argument(
        "--data",
        type=Path,
        default=data_folder(),
        help="folder of real data (default: $STAYBOLT_DATA, else %(default)s)",
    )
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.name if name not in names]
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(names)}")
    has_failed = False
    for name in chosen.name or names:
        print(f"== {name}")
        try:
            result = importlib.import_module(f"tests.benchmarks.{name}").run(chosen.data)
        except FileNotFoundError as error:
            print(f"{error.filename} is not there; point --data at the real data", file=sys.stderr)
            has_failed = True
            continue
        print(json.dumps(result), flush=True)
    return 2 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
