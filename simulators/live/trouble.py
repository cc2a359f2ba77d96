"""What is wrong with a running plant, and how more of it is made or mended."""

import time
from collections.abc import Sequence
from typing import Any, assert_never

from simulators.chance import chance
from simulators.errors import ScenarioError
from simulators.faults.control import (
    ClearRequest,
    DeliveryRequest,
    FaultRequest,
    NetworkRequest,
    NodeRequest,
    SensorRequest,
    ServerRequest,
    StatusRequest,
)
from simulators.faults.delivery import Courier, DeliveryFaults
from simulators.faults.proxy import ProxyState
from simulators.faults.sensors import HOLD_STEP_NS, SensorFault, spoil
from simulators.live.stage import Stage
from simulators.opcua.server import OpcUaServer
from simulators.plant.machine import SimulatedMachine
from simulators.reading import NS_PER_S, Outlet, Readings


class Trouble:
    """All faults of one plant.

    Parameters
    ----------
    stage : Stage
        Its servers.
    seed : int
        Seed of the plant.
    sensor_faults : sequence of SensorFault
        Faults from the beginning.
    delivery : DeliveryFaults
        How samples are delivered from the beginning.
    """

    def __init__(
        self,
        stage: Stage,
        seed: int,
        sensor_faults: Sequence[SensorFault] = (),
        delivery: DeliveryFaults | None = None,
    ) -> None:
        self._stage, self._seed = stage, seed
        self._lasting = tuple(sensor_faults)
        self._delivery = delivery or DeliveryFaults()
        self.sensor_faults: list[SensorFault] = list(sensor_faults)
        self.courier = Courier(self._delivery, chance(seed, stage.settings.site, "delivery"))
        self._vanished: set[tuple[str, str]] = set()

    def spoiled(self, machine: SimulatedMachine, readings: Readings, *, step_ns: int) -> Readings:
        """Let sensors fail.

        Parameters
        ----------
        machine : SimulatedMachine
            Whose sensors.
        readings : Readings
            What sound ones give.
        step_ns : int
            Grid that the times lie on. [ns]

        Returns
        -------
        Readings
            What these give.
        """
        name = machine.outlet.machine
        faults = [fault for fault in self.sensor_faults if fault.machine == name]
        if not faults:
            return readings
        return spoil(
            readings, machine.outlet.signals, faults, seed=self._seed, step_ns=step_ns,
            read_again=lambda time_ns: machine.readings(time_ns, step_ns=HOLD_STEP_NS),
        )  # fmt: skip

    async def handle(self, request: FaultRequest) -> dict[str, Any]:
        """Make a fault, or mend all.

        Parameters
        ----------
        request : FaultRequest
            What is asked for.

        Returns
        -------
        dict
            What is wrong now, for a status; else nothing.

        Raises
        ------
        ScenarioError
            If there is no such machine, node or server.
        """
        match request:
            case SensorRequest():
                self._add_sensor_fault(request)
            case ServerRequest():
                await self._touch_server(request)
            case NodeRequest():
                await self._touch_node(request)
            case NetworkRequest():
                await self._touch_network(request)
            case DeliveryRequest():
                self.courier.faults = DeliveryFaults(**request.model_dump(exclude={"do"}))
            case ClearRequest():
                await self._mend()
            case StatusRequest():
                return self._status()
            case _:
                assert_never(request)
        return {}

    def _add_sensor_fault(self, request: SensorRequest) -> None:
        outlet = self._outlet(request.machine)
        if request.signal not in outlet.signals:
            msg = (
                f"signal: {request.machine} has no {request.signal!r}; choose among "
                f"{', '.join(outlet.signals)}"
            )
            raise ScenarioError(msg)
        now_ns = time.time_ns()
        until_ns = now_ns + round(min(request.for_s, 1e9) * NS_PER_S)
        self.sensor_faults.append(
            SensorFault(
                request.machine, request.signal, request.fault, now_ns, until_ns,
                request.size, request.every_h, request.lasting_h,
            )
        )  # fmt: skip

    async def _touch_server(self, request: ServerRequest) -> None:
        server = self._server(request.server)
        match request.what:
            case "restart":
                await server.restart(request.down_s)
            case "rotate-certificate":
                await server.renew_certificate()
            case "expire-certificate":
                await server.renew_certificate(is_expired=True)
        self._stage.show_certificate(server)

    async def _touch_node(self, request: NodeRequest) -> None:
        server = self._server(self._outlet(request.machine).server)
        if request.what == "vanish":
            await server.vanish(request.machine, request.signal)
            self._vanished.add((request.machine, request.signal))
        else:
            await server.bring_back(request.machine, request.signal)
            self._vanished.discard((request.machine, request.signal))

    async def _touch_network(self, request: NetworkRequest) -> None:
        door = self._stage.doors.get(request.server)
        if door is None:
            known = ", ".join(self._stage.doors) or "none: start the plant with --control"
            msg = f"server: {request.server!r} has no door that can be shut; there are {known}"
            raise ScenarioError(msg)
        await door.set(ProxyState(**request.model_dump(exclude={"do", "server"})))

    async def _mend(self) -> None:
        self.sensor_faults = list(self._lasting)
        self.courier.faults = self._delivery
        for machine, signal in sorted(self._vanished):
            await self._server(self._outlet(machine).server).bring_back(machine, signal)
        self._vanished.clear()
        for door in self._stage.doors.values():
            await door.set(ProxyState())

    def _status(self) -> dict[str, Any]:
        return {
            "sensor_faults": [fault.fact() for fault in self.sensor_faults],
            "vanished": sorted(f"{machine}.{signal}" for machine, signal in self._vanished),
            "network": {name: door.state.mode for name, door in self._stage.doors.items()},
            "n_late": self.courier.n_late,
            "n_repeated": self.courier.n_repeated,
            "n_on_the_way": len(self.courier),
        }

    def _outlet(self, machine: str) -> Outlet:
        for outlet in self._stage.outlets:
            if outlet.machine == machine:
                return outlet
        names = ", ".join(outlet.machine for outlet in self._stage.outlets[:20])
        msg = f"machine: there is no {machine!r} in this plant; there are {names}"
        raise ScenarioError(msg)

    def _server(self, name: str) -> OpcUaServer:
        for server in self._stage.servers:
            if server.name == name:
                return server
        names = ", ".join(server.name for server in self._stage.servers) or "none"
        msg = f"server: there is no OPC UA server {name!r} in this plant; there are {names}"
        raise ScenarioError(msg)
