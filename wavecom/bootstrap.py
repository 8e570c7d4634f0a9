"""The composition root: Settings in, services out. The only module that knows every concrete class."""

from __future__ import annotations

from dataclasses import dataclass

from wavecom.core.ports import Clock, JobRepository, Stats
from wavecom.core.submission import Submission
from wavecom.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServices:
    """What the web app works with: the API and the pages share every one of them."""

    settings: Settings
    clock: Clock
    jobs: JobRepository
    submission: Submission
    stats: Stats
