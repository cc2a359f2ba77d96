"""Redraw the pictures of docs/detectors.md from the real data: `python -m tests.pictures`."""

import sys
from pathlib import Path

from api.health.backtest import backtest
from api.health.backtest_data import read_files, read_mapping
from api.health.backtest_page import drawing
from tests.benchmarks.common import ROOT, data_folder

CHOSEN = ("0", "4", "6")
STYLE = (
    "<style>svg{background:#fff;font-family:sans-serif}text{font-size:11px;fill:#57606a}"
    ".score{fill:none;stroke:#0b5cad;stroke-width:1.2}"
    ".limit{stroke:#8c959f;stroke-dasharray:4 3}.truth{fill:#f6c8c4}.alarm{fill:#b3261e}</style>"
)


def main() -> int:
    """Write docs/images/detectors-skab-*.svg."""
    mapping = read_mapping(ROOT / "docs" / "examples" / "skab-valve1.toml")
    folder: Path = data_folder() / "skab"
    for file in read_files(mapping, folder):
        if file.name in CHOSEN:
            picture = drawing(backtest(mapping, file))
            opening, rest = picture.split(">", 1)
            opening = opening.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"')
            target = ROOT / "docs" / "images" / f"detectors-skab-{file.name}.svg"
            target.write_text(f"{opening}>{STYLE}{rest}\n", encoding="utf-8")
            print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
