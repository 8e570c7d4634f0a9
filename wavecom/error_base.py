"""The root of all errors, and those that stop a start; ``errors.py`` has the tree."""

from __future__ import annotations

from collections.abc import Sequence

from wavecom.error_values import Problem


class WaveComError(Exception):
    """Base of everything raised on purpose. ``code`` is stable and documented; the text is for people."""

    code = "error"


class ConfigurationError(WaveComError):
    """The start must stop. Holds every problem found, so that one run is enough to mend them all."""

    code = "configuration"
    title = "WaveCom can't start"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem.where}: {problem.message}" for problem in self.problems)
        super().__init__(f"{self.title}:\n{lines}")


class SettingsError(ConfigurationError):
    """Variables of the environment are missing or wrong."""

    code = "settings"
    title = "The environment has settings that WaveCom can't use"


class ProvidersFileError(ConfigurationError):
    """The providers file (``WAVECOM_PROVIDERS``) is wrong; each problem names the file and the line."""

    code = "providers_file"
    title = "The providers file can't be used"
