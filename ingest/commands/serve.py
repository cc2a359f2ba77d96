"""``staybolt-ingest serve``: takes telemetry until stopped."""

import argparse
import contextlib
import logging
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

import uvicorn

from ingest.announced import AnnouncedMachines
from ingest.catalogue import FileCatalogue, OpenCatalogue
from ingest.commands.shared import EXIT_OK, add_config, open_named_store
from ingest.errors import SettingsError
from ingest.keeper import Keeper
from ingest.mqtt_receiver import MqttReceiver
from ingest.quarantine import Quarantine
from ingest.receiver import make_receiver
from ingest.service import IngestService
from ingest.settings import IngestSettings, load_settings
from ingest.tokens import TokenTable
from ingest.trying_again import chores_of

if TYPE_CHECKING:
    from ingest.commands.shared import Commands

logger = logging.getLogger("ingest")

# Requests under way at a stop are answered; a sender that hangs is not waited for longer.
_STOP_TIMEOUT_S: Final = 10


def add_to(commands: "Commands") -> None:
    """Add the command.

    Parameters
    ----------
    commands : argparse subparsers
        Where to add it.
    """
    parser = commands.add_parser(
        "serve",
        help="take telemetry until stopped",
        description="Take telemetry until stopped by SIGTERM or Ctrl-C.",
    )
    add_config(parser)
    parser.set_defaults(act=_serve)


def _serve(options: argparse.Namespace) -> int:
    settings, config_name = load_settings(options.config), options.config.name
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    token_check = TokenTable.read(settings.token_file)
    catalogue = (
        OpenCatalogue() if settings.machines_file is None else FileCatalogue(settings.machines_file)
    )
    if settings.tls is not None:
        settings.tls.check()
    with (
        _listen(settings.host, settings.port, config_name) as listener,
        contextlib.closing(open_named_store(settings, config_name)) as store,
        Quarantine(
            settings.quarantine.path,
            max_rows=settings.quarantine.max_rows,
            max_bytes=settings.quarantine.max_bytes,
        ) as quarantine,
        _announced(settings) as announced,
    ):
        service = IngestService(
            store,
            quarantine,
            catalogue,
            time.time_ns,
            token_check,
            limits=settings.limits,
            announced=announced,
        )
        with (
            Keeper(
                store, time.time_ns, settings.raw_days, chores_of(service, quarantine, catalogue)
            ),
            _mqtt_receiver(service, settings),
            _sparkplug_host(service, settings),
        ):
            _run(service, listener, settings)
        for device, counts in sorted(service.counts().items()):
            logger.info(
                "%s: %d samples stored, %d lines set aside",
                device,
                counts.n_accepted,
                counts.n_set_aside,
            )
    return EXIT_OK


def _announced(
    settings: IngestSettings,
) -> contextlib.AbstractContextManager[AnnouncedMachines | None]:
    if settings.machines_file is None:
        return contextlib.nullcontext()
    return AnnouncedMachines.beside(settings.quarantine.path)


def _mqtt_receiver(
    service: IngestService, settings: IngestSettings
) -> contextlib.AbstractContextManager[object]:
    if settings.mqtt is None:
        return contextlib.nullcontext()
    return MqttReceiver(service, settings.mqtt, max_body_bytes=settings.max_body_bytes)


def _sparkplug_host(
    service: IngestService, settings: IngestSettings
) -> contextlib.AbstractContextManager[object]:
    if settings.sparkplug is None:
        return contextlib.nullcontext()
    # Protobuf is loaded only where there are such nodes.
    from ingest.sparkplug_host import SparkplugHost

    births = settings.quarantine.path.with_name("sparkplug_births")
    return SparkplugHost(service, settings.sparkplug, births)


def _run(service: IngestService, listener: socket.socket, settings: IngestSettings) -> None:
    tls = settings.tls
    server = uvicorn.Server(
        uvicorn.Config(
            make_receiver(service, max_body_bytes=settings.max_body_bytes),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=_STOP_TIMEOUT_S,
            ssl_certfile=None if tls is None else tls.certificate_file,
            ssl_keyfile=None if tls is None else tls.key_file,
        )
    )
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    logger.info("taking telemetry at %s://%s:%d", "http" if tls is None else "https", shown, port)
    # Uvicorn stops on these signals by itself, then sends them once more; by then there is
    # nothing left to interrupt but the closing of the store.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    server.run(sockets=[listener])


def _listen(host: str, port: int, config_name: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        msg = (
            f"{config_name}, host and port: {host} port {port} can't be had ({error.strerror}); "
            "stop what listens there, or choose another (port 0 takes a free one)"
        )
        raise SettingsError(msg) from error
