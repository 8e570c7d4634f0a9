"""The three private servers, for whoever needs them all."""

from wavecom.local.mongo import PrivateMongo
from wavecom.local.rabbitmq import PrivateRabbitMQ
from wavecom.local.redis import PrivateRedis
from wavecom.local.server import PrivateServer

__all__ = ["PrivateMongo", "PrivateRabbitMQ", "PrivateRedis", "PrivateServer"]
