"""Serve the page that build_page.py built, on this computer only.

python examples/web/serve.py
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # examples/, for `freesound`

from freesound.program import run_program
from freesound.progress import log

HERE = Path(__file__).resolve().parent


class PageHandler(SimpleHTTPRequestHandler):
    """Files with the types and headers that modules and WebAssembly need."""

    # A system's table of types may lack these or hold others. Browsers then refuse the files.
    extensions_map = {  # noqa: RUF012  (the base class has it so)
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".json": "application/json",
        ".onnx": "application/octet-stream",
    }

    def end_headers(self) -> None:
        """Add headers: with the first two, a browser gives WebAssembly several threads."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")  # a new build must be seen
        super().end_headers()

    def log_message(self, *args: object) -> None:
        """Leave out a line for each file."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(
        prog="serve.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--site",
        type=Path,
        default=HERE / "site",
        metavar="DIR",
        help="folder of build_page.py (default: site, next to this program)",
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="port; 0 takes a free one (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    run_program("serve.py", lambda: serve(args))


def serve(args: argparse.Namespace) -> None:
    """Serve until Ctrl-C."""
    with page_server(args.site, args.port) as server:
        log(f"http://localhost:{server.server_port}/  (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            log("")


def page_server(site: Path, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of the page that only this computer reaches."""
    if not (site / "index.html").is_file():
        raise FileNotFoundError(f"--site: wanted a folder of build_page.py, got {site}")
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(PageHandler, directory=site))
    except OSError as error:
        raise OSError(f"--port: wanted a free port, got {port} ({error.strerror})") from error


if __name__ == "__main__":
    main()
