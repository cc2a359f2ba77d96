"""Command line of ``staybolt-sim``; its help teaches how the parts go together."""

import argparse
from typing import Final

from simulators.commands import fault, generate, load, proxy, replay, run, vibration
from simulators.commands import list as list_

_DESCRIPTION: Final = """\
Simulated machines for Staybolt: they speak OPC UA and MQTT as real ones do, wear, fail and are
repaired, and what is true about them is written to a file, never through telemetry.
"""

_EXAMPLES: Final = """\
examples:
  staybolt-edge keys --state-dir edge          # makes and names the agent's certificate
  staybolt-sim run --dir plant --seed 7 --trust-client edge/pki/own/certificate.der \\
      --uplink-url http://127.0.0.1:8086 --uplink-token-file token --edge-state-dir edge
  staybolt-edge run --config plant/edge.toml   # play begins when it has subscribed

  staybolt-sim replay cmapss --data DIR --subset FD001 --units 1,5,9 --dir replay \\
      --trust-client edge/pki/own/certificate.der \\
      --uplink-url http://127.0.0.1:8086 --uplink-token-file token --edge-state-dir edge
  staybolt-sim list scenarios                  # and: list kinds, list faults
  staybolt-sim run --scenario two-pumps --dir plant --control --trust-client client.der
  staybolt-sim fault --dir plant network mqtt half-open

  staybolt-sim generate run-to-failure --dir histories --seed 7
  staybolt-sim generate telemetry --dir fleet --machines 100 --days 30
  staybolt-sim generate business --dir business --seed 7

exit code: 0 done, 1 samples were not taken, 2 something in the options or the data is wrong
"""


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line.

    Returns
    -------
    argparse.ArgumentParser
        Sets ``run``, what the command does, and an attribute for each option.
    """
    parser = argparse.ArgumentParser(
        prog="staybolt-sim",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (run, list_, fault, proxy, replay, generate, vibration, load):
        command.add_to(commands)
    return parser
