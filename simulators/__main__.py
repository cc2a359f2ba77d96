"""The program ``staybolt-sim``: simulated machines over real protocols, and data made offline."""

import logging
import os
import sys
from collections.abc import Sequence

from simulators.commands.shared import make_folder
from simulators.errors import DeliveryError, SimulatorError
from simulators.options import build_parser

EXIT_OK, EXIT_FAILED, EXIT_BAD_INPUT = 0, 1, 2
# As shells have it: 128 and the number of the signal, SIGINT and SIGPIPE.
EXIT_STOPPED, EXIT_UNHEARD = 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``staybolt-sim``.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line without the program's name; the real one if not given.

    Returns
    -------
    int
        Exit code.
    """
    options = build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    # asyncua logs a traceback for every client it refuses; who was refused is told by us.
    for noisy in ("asyncua", "asyncuagds"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    try:
        if "dir" in options:
            options.dir = options.dir.resolve()
            make_folder(options.dir)
        options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_STOPPED
    except BrokenPipeError:
        _forget_output()
        return EXIT_UNHEARD
    except DeliveryError as error:
        print(f"staybolt-sim: {error}", file=sys.stderr)
        return EXIT_FAILED
    except SimulatorError as error:
        print(f"staybolt-sim: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except OSError as error:
        _forget_output()
        where = error.filename or options.dir
        print(
            f"staybolt-sim: {where}: {error.strerror or error}; check that the disk has room, also "
            "where the output goes, and that this user may read and write there",
            file=sys.stderr,
        )
        return EXIT_FAILED
    return EXIT_OK


def _forget_output() -> None:
    """Send what is still to be written nowhere, or Python complains of it once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
