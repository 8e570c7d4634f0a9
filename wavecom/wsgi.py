"""The web application, for ``granian --interface rsgi wavecom.wsgi:app`` and ``flask --app wavecom.wsgi run``.

Any server of WSGI can run it; only behind granian's RSGI do slow bodies cost no threads (``web/rsgi.py``).
"""

from __future__ import annotations

import gc

import structlog

from wavecom import metrics
from wavecom.collector import collect_seldom
from wavecom.descriptors import raise_descriptor_limit
from wavecom.observability import configure_logging
from wavecom.settings import Settings
from wavecom.web import create_app

#: For the servers' sockets, logs and libraries.
DESCRIPTORS_BESIDE_CONNECTIONS = 512

_settings = Settings.from_environment()
configure_logging(_settings.log_level, "web")
_wanted = _settings.web_connections + DESCRIPTORS_BESIDE_CONNECTIONS
_descriptors = raise_descriptor_limit(_wanted)
if _descriptors < _wanted:
    structlog.get_logger().warning(
        "descriptors_too_few",
        limit=_descriptors,
        wanted=_wanted,
        remedy=f"raise the hard limit of open files (ulimit -Hn) to {_wanted}, or lower WAVECOM_WEB_CONNECTIONS to "
        f"{max(64, _descriptors - DESCRIPTORS_BESIDE_CONNECTIONS)}",
    )
metrics.serve(_settings, "web")
app = create_app(_settings)
# What has been made so far stays: the collector need not look at it again.
gc.freeze()
collect_seldom()
