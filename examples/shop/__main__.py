"""``python -m examples.shop``: the shop beside a running ``make run``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from pathlib import Path

from werkzeug.serving import make_server

from .app import create_app
from .background import Background
from .client import WaveCom
from .store import Store

CLONE = Path(__file__).parents[2]
HELP = """
A small shop that has WaveCom tell its customers what becomes of their orders.

Start WaveCom first, in another terminal, and let it call this machine:
  WAVECOM_CALLBACK_PRIVATE_HOSTS=127.0.0.1 make run
Without the variable the shop works too, from events alone.
"""
ENDING = """
At each start it pushes its templates (examples/shop/messages) and sees that its callback is there. The API key is
WAVECOM_API_KEY, else the one that `make run` keeps in var/api-key. examples/shop/README.md leads through the code.
"""


def main() -> None:
    """Serve until Ctrl-C."""
    home = Path(os.environ.get("WAVECOM_HOME") or CLONE / "var")
    parser = argparse.ArgumentParser(
        prog="python -m examples.shop",
        description=HELP,
        epilog=ENDING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    wavecom_url = f"http://127.0.0.1:{os.environ.get('WAVECOM_PORT') or 8000}"
    parser.add_argument("--wavecom", metavar="URL", default=wavecom_url, help="where WaveCom is (%(default)s)")
    parser.add_argument("--port", type=int, default=8010, help="of the shop, on this machine alone (%(default)s)")
    parser.add_argument(
        "--data", metavar="FILE", type=Path, default=home / "shop.sqlite", help="its database (%(default)s)"
    )
    options = parser.parse_args()
    key_file = home / "api-key"
    key = os.environ.get("WAVECOM_API_KEY") or (key_file.read_text("ascii").strip() if key_file.is_file() else "")
    if not key:
        parser.error(
            f"There is no API key: start WaveCom with `make run`, which makes {key_file}, or set WAVECOM_API_KEY."
        )

    # What customers have told the shop, and the callback's secret, are for nobody else.
    os.umask(0o077)
    options.data.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    address = f"http://127.0.0.1:{options.port}"
    store = Store(options.data)
    background = Background(store, WaveCom(options.wavecom, key), f"{address}/wavecom")
    try:
        server = make_server("127.0.0.1", options.port, create_app(store, background.wake, address), threaded=True)
    except OSError as error:
        parser.error(f"Port {options.port} can't be used ({error.strerror}): give another by --port.")
    background.start(options.wavecom, key)
    print(f"The shop is at {address} and uses WaveCom at {options.wavecom}. Stop: Ctrl-C", flush=True)
    # A supervisor's way to say Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server.serve_forever()
    print("Stopped.")


if __name__ == "__main__":
    main()
