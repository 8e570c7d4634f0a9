"""How long the property tests search, chosen by ``HYPOTHESIS_PROFILE``: ``short`` (default), ``long`` or ``brief``.

``HYPOTHESIS_PROFILE=long pytest tests/unit/core`` is the long run.
"""

from __future__ import annotations

import os

from hypothesis import Phase, settings

# The short run is the same every time, so that nobody's `make test` fails by chance; the long one explores.
settings.register_profile("short", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=2500, deadline=None, stateful_step_count=80, print_blob=True)
# For the planted mutations: a longer search, for they must be found whatever the seed; but whether a test goes red is
# all that counts, not how short the story can be told.
settings.register_profile(
    "brief", max_examples=1000, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))
