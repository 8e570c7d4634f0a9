"""What HTTP reaches: the API, the pages, the health checks."""

from wavecom.web.app import create_app

__all__ = ["create_app"]
