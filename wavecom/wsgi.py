"""The web application: ``flask --app wavecom.wsgi run``, ``granian --interface wsgi wavecom.wsgi:app``."""

from __future__ import annotations

from wavecom import metrics
from wavecom.observability import configure_logging
from wavecom.settings import Settings
from wavecom.web import create_app

_settings = Settings.from_environment()
configure_logging(_settings.log_level, "web")
metrics.serve(_settings, "web")
app = create_app(_settings)
