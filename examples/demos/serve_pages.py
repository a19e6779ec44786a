"""Serves the pages of www/ from an origin of their own: where applications usually are, with the broker somewhere else.

The pages are the same; only where.js, which tells them where the broker is, is made here. Standard library only.

    python3 serve_pages.py --port 8001 --broker http://127.0.0.1:8080/bayeux
"""

import argparse
import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WWW = Path(__file__).resolve().parent / "www"


class Pages(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript", ".svg": "image/svg+xml"}

    def __init__(self, *arguments, broker, **keywords):
        self.where = f"export const broker = {json.dumps(broker)};\n".encode()
        super().__init__(*arguments, directory=str(WWW), **keywords)

    def do_GET(self):
        if self.path.partition("?")[0] != "/where.js":
            return super().do_GET()
        self.send_response(200)
        self.send_header("content-type", "text/javascript")
        self.send_header("content-length", str(len(self.where)))
        self.end_headers()
        self.wfile.write(self.where)

    def list_directory(self, path):
        self.send_error(404)

    def end_headers(self):
        self.send_header("cache-control", "no-cache")
        super().end_headers()

    def log_message(self, *_):
        pass


class PageServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a browser that hangs up is no news


def server(address, broker):
    """A server of the pages, listening; call its serve_forever."""
    return PageServer(address, partial(Pages, broker=broker))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", required=True, metavar="URL", help="the Bayeux endpoint, as browsers reach it")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    options = parser.parse_args()
    pages = server((options.host, options.port), options.broker)
    print(f"pages at http://{options.host}:{pages.server_address[1]}/", flush=True)
    try:
        pages.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
