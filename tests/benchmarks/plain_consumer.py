"""Counts values at a plain blocking socket, in a process of its own: nothing else is in the way.

``python -m tests.benchmarks.plain_consumer opcua|mqtt0|mqtt1 ADDRESS SECONDS`` prints values and
seconds as JSON.
"""

import json
import socket
import sys
import time
from typing import Any, TypeAlias

import asyncua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import header_from_binary, struct_from_binary, struct_to_binary

Message: TypeAlias = Any
"""A structure of asyncua's, or its class; asyncua wants plain numbers wrapped in its types."""

ua: Message = asyncua.ua
policy_none: Message = SecurityPolicyNone

_DATA_CHANGE = b"\x01\x00\x2b\x03\x01"
"""NodeId of an encoded DataChangeNotification (811), and that a body of bytes follows."""
_N_REQUESTS = 12


class OpcuaConsumer:
    """Handshake by asyncua's codecs; the flood is only counted and acknowledged."""

    def __init__(self, endpoint: str) -> None:
        host, port = endpoint.removeprefix("opc.tcp://").partition("/")[0].split(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limits = TransportLimits(65_535, 65_535, 0, 0)
        self.connection = SecureConnection(policy_none(), limits)
        self.endpoint, self.request, self.buffer = endpoint, 0, bytearray()
        self.token = ua.NodeId()

    def ask(self, request: Message, kind: Message = ua.MessageType.SecureMessage) -> None:
        self.request += 1
        request.RequestHeader.AuthenticationToken = self.token
        request.RequestHeader.RequestHandle = self.request
        data = self.connection.message_to_binary(struct_to_binary(request), kind, self.request)
        self.socket.sendall(data)

    def chunk(self) -> tuple[bytes, bytes]:
        """One whole chunk of the stream: its header's first four bytes, and all of it."""
        while len(self.buffer) < 8:
            self.buffer += self.socket.recv(1 << 20)
        length = int.from_bytes(self.buffer[4:8], "little")
        while len(self.buffer) < length:
            self.buffer += self.socket.recv(1 << 20)
        data = bytes(self.buffer[:length])
        del self.buffer[:length]
        return data[:4], data

    def answer(self, kind: Message) -> Message:
        while True:
            buffer = Buffer(self.chunk()[1])
            message = self.connection.receive_from_header_and_body(
                header_from_binary(buffer), buffer
            )
            if message is not None:
                return struct_from_binary(kind, message.body())

    def connect(self, n_nodes: int) -> int:
        hello = ua.Hello(0, 65_535, 65_535, 0, 0, self.endpoint)
        body = struct_to_binary(hello)
        self.socket.sendall(b"HELF" + (8 + len(body)).to_bytes(4, "little") + body)
        self.chunk()
        opened = ua.OpenSecureChannelRequest()
        opened.Parameters.RequestedLifetime = 3_600_000
        opened.Parameters.SecurityMode = ua.MessageSecurityMode.None_
        self.ask(opened, ua.MessageType.SecureOpen)
        self.connection.set_channel(
            self.answer(ua.OpenSecureChannelResponse).Parameters,
            ua.SecurityTokenRequestType.Issue, b"",
        )  # fmt: skip
        created = ua.CreateSessionRequest()
        created.Parameters.EndpointUrl = self.endpoint
        created.Parameters.RequestedSessionTimeout = 600_000
        self.ask(created)
        self.token = self.answer(ua.CreateSessionResponse).Parameters.AuthenticationToken
        activated = ua.ActivateSessionRequest()
        activated.Parameters.UserIdentityToken = ua.AnonymousIdentityToken(PolicyId="anonymous")
        self.ask(activated)
        self.answer(ua.ActivateSessionResponse)
        return self.subscribe(n_nodes)

    def subscribe(self, n_nodes: int) -> int:
        wanted = ua.CreateSubscriptionRequest()
        wanted.Parameters.RequestedPublishingInterval = 100
        wanted.Parameters.RequestedLifetimeCount = 1000
        wanted.Parameters.RequestedMaxKeepAliveCount = 10
        wanted.Parameters.PublishingEnabled = True
        self.ask(wanted)
        subscription = int(self.answer(ua.CreateSubscriptionResponse).Parameters.SubscriptionId)
        for start in range(1, n_nodes + 1, 250):
            items = ua.CreateMonitoredItemsRequest()
            items.Parameters.SubscriptionId = subscription
            items.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
            items.Parameters.ItemsToCreate = [
                ua.MonitoredItemCreateRequest(
                    ua.ReadValueId(ua.NodeId(ua.Int32(number), ua.Int16(2)), ua.AttributeIds.Value),
                    ua.MonitoringMode.Reporting,
                    ua.MonitoringParameters(number, 100, None, 10, True),
                )
                for number in range(start, min(start + 250, n_nodes + 1))
            ]
            self.ask(items)
            self.answer(ua.CreateMonitoredItemsResponse)
        return subscription

    def count(self, subscription: int, seconds: float) -> tuple[int, float]:
        acknowledgements: list[Message] = []
        for _ in range(_N_REQUESTS):
            self.publish(acknowledgements)
        began_s, n_values, sequence = 0.0, 0, 0
        while not began_s or time.perf_counter() - began_s < seconds:
            kind, data = self.chunk()
            at = data.find(_DATA_CHANGE)
            if at >= 0:
                sequence = int.from_bytes(data[at - 16 : at - 12], "little")
                n_values += int.from_bytes(data[at + 9 : at + 13], "little")
            if kind == b"MSGF":
                began_s = began_s or time.perf_counter()
                self.publish([ua.SubscriptionAcknowledgement(subscription, sequence)])
        return n_values, time.perf_counter() - began_s

    def publish(self, acknowledgements: list[Message]) -> None:
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = acknowledgements
        self.ask(request)


def count_mqtt(address: str, qos: int, seconds: float, n_metrics: int) -> tuple[int, float]:
    """Subscribe with MQTT 3.1.1 and walk over the packets by their lengths."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port))) as link:
        link.sendall(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05plain")
        link.sendall(bytes([0x82, 6, 0, 1, 0, 1, ord("#"), qos]))
        buffer, n_messages, began_s = bytearray(), 0, 0.0
        while not began_s or time.perf_counter() - began_s < seconds:
            buffer += link.recv(1 << 20)
            at, acknowledgements = 0, bytearray()
            while len(buffer) - at > 5:
                length = shift = 0
                start = at + 1
                while True:
                    byte = buffer[start]
                    length |= (byte & 0x7F) << shift
                    start, shift = start + 1, shift + 7
                    if byte < 0x80:
                        break
                if len(buffer) < start + length:
                    break
                if buffer[at] >> 4 == 3:
                    began_s = began_s or time.perf_counter()
                    n_messages += 1
                    if qos:
                        n_topic = int.from_bytes(buffer[start : start + 2], "big")
                        identifier = buffer[start + 2 + n_topic : start + 4 + n_topic]
                        acknowledgements += b"\x40\x02" + identifier
                at = start + length
            del buffer[:at]
            if acknowledgements:
                link.sendall(acknowledgements)
        return n_messages * n_metrics, time.perf_counter() - began_s


def main() -> None:
    what, address, seconds, size = sys.argv[1:]
    if what == "opcua":
        consumer = OpcuaConsumer(address)
        counted = consumer.count(consumer.connect(int(size)), float(seconds))
    else:
        counted = count_mqtt(address, int(what[-1]), float(seconds), int(size))
    print(json.dumps(counted))


if __name__ == "__main__":
    main()
