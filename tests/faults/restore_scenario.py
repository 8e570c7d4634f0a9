"""What the drill does with a store that is put back to an older copy, beside a broker and a Redis that live on."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from harness.provider_server import Behaviour, Fault, FaultKind
from harness.subject import MONGODB
from tests.faults.deployment import Deployment
from tests.faults.notes import StoreRestore
from tests.faults.plan import FIRST

_DOWN = Behaviour(0.02, [Fault(FaultKind.STATUS, status=503)])


def restore_older_copy(deployment: Deployment) -> None:
    """A copy, a while of deliveries that it knows nothing of, the restore under running processes, and its settling."""
    home = deployment.servers[MONGODB].home.parent
    deployment.pause(5)
    _copy_store(deployment, home / "copy")
    copied_at = deployment.notes.troubles[-1].since
    deployment.pause(25)
    # So that some of what is lost has not been sent: its messages wait in the queues, and in workers' hands.
    with deployment.ailing(FIRST, "down (503)", _DOWN):
        deployment.pause(4)
        _restore_store(deployment, home / "copy")
        restored_at = time.time()
    # Long enough for whoever would send something of it.
    deployment.pause(8)
    _expect(deployment, "error", "before it is settled")
    lost = home / "lost.jsonl"
    with deployment.without_workers():
        summary = json.loads(deployment.wavecom("restore", "--json", "--lost", str(lost), "--operator", "drill"))
        settled_at = time.time()
    deployment.mark(", ".join(f"{name} {value}" for name, value in summary.items()))
    listed = frozenset(json.loads(line)["jobId"] for line in lost.read_text(encoding="utf-8").splitlines())
    deployment.notes.restore = StoreRestore(copied_at, restored_at, settled_at, listed)
    for name in ("held", "lost", "lostUnsent"):
        if not summary[name]:
            deployment.notes.broken.append(f"wavecom restore found nothing to tell as {name}")
    _expect(deployment, "warning", "with notifications left to decide about")
    if "nothing to do" not in deployment.wavecom("restore"):
        deployment.notes.broken.append("a second wavecom restore did not say that there is nothing to do")


def _copy_store(deployment: Deployment, folder: Path) -> None:
    """MongoDB's data as they are at this moment: of a server that is stopped, as a snapshot would have them."""
    with deployment.without(MONGODB, gently=True):
        shutil.copytree(deployment.servers[MONGODB].home / "data", folder)


def _restore_store(deployment: Deployment, folder: Path) -> None:
    """Put MongoDB's data back to a copy, under processes that run."""
    data = deployment.servers[MONGODB].home / "data"
    with deployment.without(MONGODB):
        shutil.rmtree(data)
        shutil.copytree(folder, data)
        deployment.pause(3)


def _expect(deployment: Deployment, severity: str, when: str) -> None:
    """``wavecom doctor restore`` says of MongoDB what it should."""
    lines = deployment.wavecom("doctor", "restore", "--json", may_fail=True).splitlines()
    found: list[dict[str, Any]] = [json.loads(line) for line in lines]
    told = [each for each in found if each["subject"] == "MongoDB"]
    deployment.mark("; ".join(each["text"] for each in told))
    if [each["severity"] for each in told] != [severity]:
        deployment.notes.broken.append(f"wavecom doctor does not tell of the restore {when}: {told}")
