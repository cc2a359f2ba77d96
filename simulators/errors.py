"""What can go wrong when machines are simulated.

::

    SimulatorError
    ├── ScenarioError      options that describe no possible plant (exit code 2)
    ├── DataFolderError    real data to replay are missing or not as published (exit code 2)
    ├── StartError         a server could not be started, such as a port in use (exit code 2)
    └── DeliveryError      samples were handed over but not taken (exit code 1)
"""


class SimulatorError(Exception):
    """Base of every error raised by `simulators`."""


class ScenarioError(SimulatorError, ValueError):
    """Options that describe no possible plant."""


class DataFolderError(SimulatorError):
    """Real data to replay are missing, or not in the form they were published in."""


class StartError(SimulatorError):
    """A server of the plant could not be started."""


class DeliveryError(SimulatorError):
    """Samples were handed over but nobody took them."""
