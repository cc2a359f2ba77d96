"""Load sources lose nothing and double nothing, whoever reads them."""

import asyncio
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt
import pytest
from asyncua import Client, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography.x509.oid import ExtendedKeyUsageOID

from simulators.keys import make_identity, trust_clients
from simulators.load.mqtt_blaster import BlastSettings, MqttBlaster
from simulators.load.notifications import NODE_STRIDE
from simulators.load.opcua_responder import NAMESPACE_URI, LoadSettings, OpcuaResponder
from simulators.loopback import LOOPBACK, free_port

pytestmark = pytest.mark.timeout(90)
N_NODES = 700
PARTS = [range(start, min(start + 300, N_NODES)) for start in range(0, N_NODES, 300)]


async def read_counters(client: Client, seconds: float) -> dict[int, list[float]]:
    """Values by client handle, in the order they came."""
    values: dict[int, list[float]] = defaultdict(list)

    async def take(result: ua.PublishResult) -> None:
        for part in result.NotificationMessage.NotificationData or []:
            assert isinstance(part, ua.DataChangeNotification)
            for item in part.MonitoredItems:
                values[item.ClientHandle].append(item.Value.Value.Value)

    wanted = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=50, RequestedMaxKeepAliveCount=10,
        RequestedLifetimeCount=1000, PublishingEnabled=True,
    )  # fmt: skip
    answer = await client.uaclient.create_subscription(wanted, take)
    index = await client.get_namespace_index(NAMESPACE_URI)
    # In several requests, as clients do, while the flood has begun.
    for part in PARTS:
        await client.uaclient.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                SubscriptionId=answer.SubscriptionId,
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToCreate=[_item(node, index) for node in part],
            )
        )
    await asyncio.sleep(seconds)
    await client.uaclient.delete_subscriptions([answer.SubscriptionId])
    return values


def _item(node: int, index: int) -> ua.MonitoredItemCreateRequest:
    return ua.MonitoredItemCreateRequest(
        ua.ReadValueId(ua.NodeId(ua.Int32(node + 1), ua.Int16(index)), ua.AttributeIds.Value),
        ua.MonitoringMode.Reporting,
        ua.MonitoringParameters(node, 50, None, 10, True),
    )


@pytest.mark.parametrize("is_secure", [False, True])
def test_every_node_counts_without_a_gap(tmp_path: Path, is_secure: bool) -> None:
    values = asyncio.run(_read(tmp_path, is_secure=is_secure))

    assert len(values) == N_NODES
    n_values = 0
    for node, told in values.items():
        numbers = np.array(told) - node * NODE_STRIDE
        assert np.all(np.diff(numbers) == 1), node
        n_values += numbers.size
    assert n_values > 10_000


async def _read(folder: Path, *, is_secure: bool) -> dict[int, list[float]]:
    responder = OpcuaResponder(LoadSettings(n_nodes=N_NODES, values_per_s=15_000.0))
    client = Client(responder.endpoint)
    if is_secure:
        own = folder / "own.der", folder / "own.pem"
        await setup_self_signed_certificate(
            own[1], own[0], "urn:staybolt:test-reader", LOOPBACK,
            [ExtendedKeyUsageOID.CLIENT_AUTH], {"countryName": "DE"},
        )  # fmt: skip
        clients = trust_clients(folder / "trusted", [own[0]])
        identity = make_identity(folder / "server", NAMESPACE_URI)
        await responder.start(free_port(), identity, clients, folder / "trusted")
        client = Client(responder.endpoint)
        client.application_uri = "urn:staybolt:test-reader"
        await client.set_security(
            SecurityPolicyBasic256Sha256, *own, None, str(identity.certificate)
        )
    else:
        await responder.start(free_port())
        client = Client(responder.endpoint)
    try:
        async with client:
            return await read_counters(client, 3.0)
    finally:
        await responder.stop()


def test_unacknowledged_messages_come_again_marked_as_such() -> None:
    asyncio.run(_redelivery())


async def _redelivery() -> None:
    blaster = MqttBlaster(BlastSettings(n_metrics=3, values_per_s=3000.0))
    await blaster.start()
    try:
        first = await asyncio.to_thread(_listen, blaster.port, 0.4, acknowledges=False)
        again = await asyncio.to_thread(_listen, blaster.port, 0.8, acknowledges=True)
    finally:
        await blaster.stop()

    assert [is_dup for _, is_dup in first] == [False] * len(first)
    repeated = [number for number, is_dup in again if is_dup]
    # All that was heard, and what was still on its way when the listener left.
    assert repeated[: len(first)] == [number for number, _ in first]
    fresh = [number for number, is_dup in again if not is_dup]
    assert repeated + fresh == list(range(len(repeated) + len(fresh)))
    assert len(fresh) > 100


def _listen(port: int, seconds: float, *, acknowledges: bool) -> list[tuple[int, bool]]:
    heard: list[tuple[int, bool]] = []

    def note(client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        value = json.loads(message.payload)["values"]["metric000_count"]
        heard.append((value - 10**9, message.dup))
        if acknowledges:
            client.ack(message.mid, message.qos)

    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, "listener", protocol=mqtt.MQTTv5, manual_ack=True
    )
    client.on_message = note
    properties = mqtt.Properties(mqtt.PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types for it
    properties.SessionExpiryInterval = 600
    properties.ReceiveMaximum = 500
    client.connect(LOOPBACK, port, clean_start=False, properties=properties)
    client.loop_start()
    client.subscribe("plant/#", qos=1)
    time.sleep(seconds)
    client.disconnect()
    client.loop_stop()
    return heard
