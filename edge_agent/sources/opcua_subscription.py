"""Makes a subscription, changes it, and takes one over that a server still has for us."""

import logging
import math
from typing import Final, NamedTuple

from asyncua import ua

from edge_agent.errors import SessionGoneError
from edge_agent.settings_opcua import OpcuaSettings
from edge_agent.sources.opcua_adoption import Memory
from edge_agent.sources.opcua_link import SESSION_TIMEOUT_S, OpcuaLink, words
from edge_agent.sources.opcua_publish import create_subscription

logger = logging.getLogger(__name__)

KEEPALIVE_S: Final = 2.0
"""The server says "still here" at least this often when nothing changes."""

SILENCE_MIN_S: Final = 5.0
SILENCE_KEEPALIVES: Final = 3
"""Without a word for this many keep-alives the connection counts as lost."""

MAX_NOTIFICATIONS_PER_PUBLISH: Final = 20_000


class Subscription(NamedTuple):
    """What a server gave: its number, and after how long without a word it counts as lost."""

    subscription_id: int
    silence_s: float


async def make_subscription(link: OpcuaLink, settings: OpcuaSettings) -> Subscription:
    """Make a new subscription.

    Parameters
    ----------
    link : OpcuaLink
        With an open session.
    settings : OpcuaSettings
        How often it sends.

    Returns
    -------
    Subscription
        Without any item yet.
    """
    interval_ms = settings.publishing_interval_ms
    answer = await create_subscription(
        link.client.uaclient.session,
        ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=interval_ms,
            RequestedMaxKeepAliveCount=_keepalives(interval_ms),
            RequestedLifetimeCount=math.ceil(SESSION_TIMEOUT_S * 1000 / interval_ms),
            MaxNotificationsPerPublish=MAX_NOTIFICATIONS_PER_PUBLISH,
            PublishingEnabled=True,
        ),
    )
    silence_s = _silence_s(answer.RevisedPublishingInterval, answer.RevisedMaxKeepAliveCount)
    return Subscription(answer.SubscriptionId, silence_s)


async def modify_subscription(
    link: OpcuaLink, subscription_id: int, settings: OpcuaSettings
) -> Subscription:
    """Let a subscription send more or less often.

    Parameters
    ----------
    link : OpcuaLink
        With the session that has it.
    subscription_id : int
        The subscription.
    settings : OpcuaSettings
        How often it sends from now on.

    Returns
    -------
    Subscription
        The same one.
    """
    interval_ms = settings.publishing_interval_ms
    answer = await link.client.uaclient.modify_subscription(
        ua.ModifySubscriptionParameters(
            SubscriptionId=subscription_id,
            RequestedPublishingInterval=interval_ms,
            RequestedMaxKeepAliveCount=_keepalives(interval_ms),
            RequestedLifetimeCount=math.ceil(SESSION_TIMEOUT_S * 1000 / interval_ms),
            MaxNotificationsPerPublish=MAX_NOTIFICATIONS_PER_PUBLISH,
        )
    )
    silence_s = _silence_s(answer.RevisedPublishingInterval, answer.RevisedMaxKeepAliveCount)
    return Subscription(subscription_id, silence_s)


async def take_over(link: OpcuaLink, memory: Memory) -> str | None:
    """Open a session that has a subscription of an earlier connection.

    The old session is resumed; if it is gone, its subscription is asked for with a new one.

    Parameters
    ----------
    link : OpcuaLink
        Not connected yet.
    memory : Memory
        The subscription.

    Returns
    -------
    str or None
        How the server still had it, for the log. None if it had not; the link is open then.

    Raises
    ------
    SourceError
        If the server can't be reached now.
    """
    try:
        await link.resume(memory.token)
        how = "kept our subscription"
    except SessionGoneError as error:
        logger.info("%s; asking for its subscription", error)
        await link.open()
        if not await _transfer(link, memory):
            return None
        how = "handed our subscription over"
    (status,) = await link.client.uaclient.set_publishing_mode(
        ua.SetPublishingModeParameters(
            PublishingEnabled=True, SubscriptionIds=[memory.subscription_id]
        )
    )
    if not status.is_good():
        logger.info("%s: the server has ended our subscription: %s", link.place, status.name)
        return None
    return how


async def _transfer(link: OpcuaLink, memory: Memory) -> bool:
    if link.token.server_started_at != memory.token.server_started_at:
        # After another start the same number may be somebody else's subscription.
        logger.info("%s: the server has started again", link.place)
        return False
    try:
        (result,) = await link.client.uaclient.transfer_subscriptions(
            ua.TransferSubscriptionsParameters(
                SubscriptionIds=[memory.subscription_id], SendInitialValues=False
            )
        )
    except ua.UaStatusCodeError as error:
        logger.info("%s: no subscription is handed over: %s", link.place, words(error))
        return False
    if not result.StatusCode.is_good():
        logger.info("%s: our subscription is gone: %s", link.place, result.StatusCode.name)
    return bool(result.StatusCode.is_good())


def _keepalives(interval_ms: float) -> int:
    return max(1, math.ceil(KEEPALIVE_S * 1000 / interval_ms))


def _silence_s(interval_ms: float, keepalive_count: int) -> float:
    return max(SILENCE_MIN_S, SILENCE_KEEPALIVES * interval_ms * keepalive_count / 1000)
