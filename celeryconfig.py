"""Celery's settings under Celery's own names, filled from ``Settings``.

Why each is as it is: docs/celery.md, which tells what goes wrong otherwise. What Celery can't be told here (no gossip,
no mingle) the start-up handlers in ``wavecom.celery`` set.
"""

from __future__ import annotations

import random

from wavecom.broker import topology
from wavecom.broker.connection import CONNECT_TIMEOUT_SECONDS
from wavecom.internals.kombu import TlsOptions
from wavecom.settings import Settings

_settings = Settings.from_environment()
_address = _settings.amqp

#: Shuffled, so that the workers of a fleet are spread over the nodes.
broker_url = random.sample(_address.urls, len(_address.urls))
broker_login_method = _address.login_method
broker_use_ssl = TlsOptions(_address.tls_options(host=None)) if _address.is_encrypted else False
broker_connection_timeout = CONNECT_TIMEOUT_SECONDS
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# Reconnect instead of exit on a channel error, e.g. the broker's consumer timeout (406).
broker_channel_error_retry = True
# Above zero, so that a worker host that vanishes gives its messages back in about a minute. Where there is another node
# to go to, a frozen one is left after two silent intervals; a busy worker that is taken for dead only comes back.
broker_heartbeat = 2 if _address.is_cluster else 30
_IO_TIMEOUT_SECONDS = 5 if _address.is_cluster else 10
broker_transport_options = {
    "confirm_publish": True,
    # Reads and writes of Celery's own producers end, even on a broker that is blocked by an alarm.
    "read_timeout": _IO_TIMEOUT_SECONDS,
    "write_timeout": _IO_TIMEOUT_SECONDS,
    "max_retries": 3,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 1,
}
broker_pool_limit = 16
broker_pool_acquire_timeout = 5
task_publish_retry_policy = {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 1}

accept_content = ["json"]
timezone = "UTC"
enable_utc = True

task_queues = list(topology.TASK_QUEUES)
task_create_missing_queues = False
# Only what is not routed goes here; our own tasks all are.
task_default_queue = topology.PERIODIC_QUEUE
task_default_exchange = topology.PERIODIC.name
task_default_exchange_type = topology.PERIODIC.type
task_default_routing_key = topology.PERIODIC_QUEUE
task_routes = {
    topology.SWEEP_TASK: {"queue": topology.PERIODIC_QUEUE},
    topology.RECONCILE_TASK: {"queue": topology.PERIODIC_QUEUE},
    topology.ADJUST_TASK: {"queue": topology.PERIODIC_QUEUE},
    topology.RUN_CAMPAIGNS_TASK: {"queue": topology.PERIODIC_QUEUE},
    topology.PUBLISH_EVENTS_TASK: {"queue": topology.CALLBACKS_QUEUE},
    topology.SEND_CALLBACKS_TASK: {"queue": topology.CALLBACKS_QUEUE},
    topology.FOLLOW_FALLBACKS_TASK: {"queue": topology.CALLBACKS_QUEUE},
}

task_acks_late = True
# An unexpected exception rejects the message, so that it is dead-lettered instead of silently acknowledged.
task_acks_on_failure = False
task_acks_on_timeout = True
task_reject_on_worker_lost = True
task_ignore_result = True
task_store_errors_even_if_ignored = False

worker_pool = "threads"
worker_concurrency = _settings.worker_concurrency
# Per queue, with quorum queues. Twice the calls at once: what is being claimed and recorded is in hand as well.
worker_prefetch_multiplier = 2
worker_disable_rate_limits = True
worker_send_task_events = False
worker_hijack_root_logger = True
worker_cancel_long_running_tasks_on_connection_loss = False
# True lets a pool thread read the socket that the main thread reads, after a reconnect: a worker silent for good.
worker_enable_prefetch_count_reduction = False

beat_max_loop_interval = 5
# Keeps no file, which the beat of another start would find locked: what ticks each second has nothing to catch up on.
beat_scheduler = "wavecom.tasks.schedule:MemoryScheduler"
beat_schedule = {
    "sweep": {
        "task": topology.SWEEP_TASK,
        "schedule": 1.0,
        # A tick that nobody took in time is worth nothing: the next one does its work. Publishing is retried all the
        # same (task_publish_retry_policy): without, kombu never revives a connection that was lost, and beat is mute.
        "options": {"expires": 5},
    },
    "publish-events": {
        "task": topology.PUBLISH_EVENTS_TASK,
        "schedule": 1.0,
        "options": {"expires": 5},
    },
    "run-campaigns": {
        "task": topology.RUN_CAMPAIGNS_TASK,
        "schedule": 1.0,
        "options": {"expires": 5},
    },
    "follow-fallbacks": {
        "task": topology.FOLLOW_FALLBACKS_TASK,
        "schedule": 1.0,
        "options": {"expires": 5},
    },
    "reconcile-dead-letters": {
        "task": topology.RECONCILE_TASK,
        "schedule": 10.0,
        "options": {"expires": 10},
    },
    "adjust-weights": {
        "task": topology.ADJUST_TASK,
        "schedule": 30.0,
        "options": {"expires": 30},
    },
}
