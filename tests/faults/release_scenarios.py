"""What the drill does between two releases: each process is replaced by that of another one, under load."""

from __future__ import annotations

from tests.faults.deployment import Deployment
from tests.faults.scenarios import Scenario


def _to_the_other_release(deployment: Deployment) -> None:
    """As docs/operations.md has it: the web processes last, and first on the way back."""
    titles = sorted(deployment.programs)
    order = [
        *(title for title in ("ops", "beat") if title in titles),
        *(title for title in titles if title.startswith("worker")),
        *(title for title in titles if title.startswith("web")),
    ]
    for title in order if deployment.plan.starts_with_other else reversed(order):
        deployment.to_the_other_release(title)
        deployment.pause(4)


#: Between the release that is checked out and another one, each process after the other, under load.
SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "upgrade",
        "from another release to this one, process by process, two web processes behind nginx",
        _to_the_other_release,
        accepts_within_seconds=5,
        webs=2,
        starts_with_other=True,
    ),
    Scenario(
        "rollback",
        "from this release back to another one, process by process, two web processes behind nginx",
        _to_the_other_release,
        accepts_within_seconds=5,
        webs=2,
        starts_with_other=False,
    ),
)
