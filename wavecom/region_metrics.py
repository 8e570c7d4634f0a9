"""Metrics of regions: which have no worker of their own, and whether another may deliver for them."""

from __future__ import annotations

from prometheus_client import Gauge

from wavecom.core.lanes import QUEUES, in_region
from wavecom.core.region_attendance import Attendance
from wavecom.core.regions import Regions
from wavecom.errors import UnavailableError

UNATTENDED = Gauge(
    "wavecom_region_unattended_queues",
    "Queues of a region that no worker of the region has consumed for WAVECOM_REGION_TAKEOVER_SECONDS; takeover: "
    "whether workers of another region may.",
    ["region", "takeover"],
)


class RegionSampler:
    """Counts unattended queues of each region, for the process that sweeps. Not thread-safe."""

    def __init__(self, regions: Regions | None, attendance: Attendance) -> None:
        self._regions = regions
        self._attendance = attendance

    def sample(self) -> None:
        """To be called every few seconds. While Redis is away the figures stay."""
        if self._regions is None:
            return
        queues = {in_region(queue, name): name for name in self._regions.regions for queue in QUEUES}
        try:
            unattended = self._attendance.unattended(queues)
        except UnavailableError:
            return
        for name, region in self._regions.regions.items():
            count = sum(queues[queue] == name for queue in unattended)
            UNATTENDED.labels(name, "allowed" if region.takeover else "forbidden").set(count)
