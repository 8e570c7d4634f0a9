"""Metrics for Prometheus, each process's own on a port of its own: ``GET http://127.0.0.1:PORT/metrics``.

What is counted stands beside what it counts. Names, labels and values hold no client, recipient or content.
"""

from __future__ import annotations

import errno
import os

import structlog
from prometheus_client import Gauge, start_http_server

import wavecom
from wavecom.settings import Settings

log = structlog.get_logger()

#: As Prometheus would have it: an info metric of a target, to be joined by ``instance``, and no label on every series.
PROCESS = Gauge("wavecom_process_info", "1; the labels name the process that is asked.", ["process", "name", "version"])

#: So many processes of one machine find a port each.
PORTS = 64


def serve(settings: Settings, process: str) -> int | None:
    """Serve this process's metrics from a thread of its own; answers the port, None when there is none.

    The first free port from ``metrics_port`` on: all processes of a machine share one environment. To be called
    after the fork, once. A process without metrics works all the same, so that finding none is only said in the log.
    """
    if settings.metrics_port is None:
        return None
    reason = "no port is free"
    for port in range(settings.metrics_port, min(settings.metrics_port + PORTS, 65_536)):
        try:
            start_http_server(port, settings.metrics_host)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            reason = os.strerror(error.errno or 0)
            break
        PROCESS.labels(process, settings.worker_name, wavecom.__version__).set(1)
        log.info("metrics_served", port=port)
        return port
    log.error("metrics_not_served", reason=reason, host=settings.metrics_host, port=settings.metrics_port)
    return None
