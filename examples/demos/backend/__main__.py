"""The backend alone, for when broker and pages run elsewhere: python3 -m backend --broker http://127.0.0.1:8080"""

import argparse
import os

from .app import Backend


def main():
    parser = argparse.ArgumentParser(prog="backend", description=__doc__)
    parser.add_argument("--broker", required=True, metavar="URL", help="where the broker's API is")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--origin", action="append", default=[], metavar="URL", help="an address of the pages; may be repeated")
    options = parser.parse_args()
    # Secrets stand in the environment: arguments can be read by everybody on the machine.
    secrets = os.environ.get("BACKEND_SECRETS", "").split()
    backend = Backend((options.host, options.port), secrets, key=os.environ.get("BROKER_KEY"))
    print(f"backend at {backend.url}, broker at {options.broker}", flush=True)
    backend.start(options.broker.rstrip("/"), options.origin)
    try:
        backend.wait()
    except KeyboardInterrupt:
        pass


main()
