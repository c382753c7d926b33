"""HTTP requests over an unreliable network, and when another attempt is worth it."""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse, InvalidURL
from ipaddress import ip_address
from time import sleep
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

MAX_ATTEMPTS = 5  # attempts in a row that bring no new bytes
MAX_PAUSE = 60  # seconds between two attempts
TIMEOUT = 60  # seconds without a byte

T = TypeVar("T")


class TransferError(Exception):
    """A request failed, and another attempt may succeed. The server may ask for a pause in seconds."""

    def __init__(self, reason: str, *, pause: float = 0) -> None:
        super().__init__(reason)
        self.pause = pause


class RangeError(TransferError):
    """The server did not send the range of bytes that the request asked for."""


def check_url(name: str, url: object) -> str:
    """Accept only addresses of the web in plain characters, because the address is printed."""
    try:
        parts = urlsplit(url) if isinstance(url, str) and url.isprintable() else None
        good = parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # an unclosed bracket
        good = False
    if not good:
        raise ValueError(f"{name}: wanted an address that begins with https:// or http://, got {url!r}")
    return str(url)


def check_hop(source: str, target: str) -> None:
    """Refuse to go from one address to another that the first one has no right to choose.

    A step from https to http is refused, because anyone on the way could have written the answer. A step from
    the public internet to this machine or to the local network is refused too.

    Raises:
        OSError: if the step is refused. The message names both addresses.
    """
    name = f"{source}, redirected"
    try:
        check_url(name, target)
    except ValueError as error:
        raise OSError(str(error)) from error
    if urlsplit(source).scheme == "https" and urlsplit(target).scheme != "https":
        raise OSError(f"{name}: wanted an address over https, got {target}")
    if _is_inner(urlsplit(target).hostname) and not _is_inner(urlsplit(source).hostname):
        raise OSError(f"{name}: wanted an address on the public internet, got {target}")


@functools.cache
def _is_inner(host: str | None) -> bool:
    """Whether any address of a host is on this machine or in a local network."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # behind a proxy, names may be unknown here
        return False
    addresses = [ip_address(str(place[0]).partition("%")[0]) for *_, place in found]
    return not all((getattr(one, "ipv4_mapped", None) or one).is_global for one in addresses)


class _CheckedRedirects(HTTPRedirectHandler):
    """Follow a redirect after a check of its address. The handler of Python would also follow ``ftp:``."""

    def redirect_request(  # noqa: PLR0917 (the base class decides)
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        """Return the next request, or refuse it."""
        try:
            check_hop(req.full_url, newurl)
        except OSError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def urlopen(request: Request, timeout: float) -> HTTPResponse:
    """Open an address of the web. urllib's own function also knows ``file:``, ``ftp:`` and ``data:``."""
    opener = OpenerDirector()
    handlers = (ProxyHandler, HTTPHandler, HTTPSHandler, _CheckedRedirects)
    for handler in (*handlers, HTTPDefaultErrorHandler, HTTPErrorProcessor):
        opener.add_handler(handler())
    response: HTTPResponse = opener.open(request, timeout=timeout)
    return response


@contextmanager
def open_url(url: str, *, start: int = 0) -> Iterator[HTTPResponse]:
    """Request ``url`` from byte ``start`` on. The server may answer with the whole file.

    Raises:
        TransferError: if the connection fails, also while the body is read, or if the server is too busy.
        OSError: if the server refuses, its certificate is wrong, or :func:`check_hop` refuses a redirect.
    """
    headers = {"User-Agent": "rankaudio download"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with urlopen(Request(url, headers=headers), timeout=TIMEOUT) as response:
            yield response
    except HTTPError as error:
        with error:
            raise _error_of_status(url, error) from error
    except InvalidURL as error:
        raise ValueError(f"{url}: wanted a valid address: {error}") from error
    except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise OSError(f"{url}: {reason}") from error
        raise TransferError(str(reason) or type(reason).__name__) from error


def _error_of_status(url: str, error: HTTPError) -> Exception:
    """Return what to raise for an HTTP status that is an error."""
    reason = " ".join("".join(c if c.isprintable() else " " for c in str(error.reason)).split())
    what, pause = f"HTTP {error.code} {reason}", error.headers.get("Retry-After", "")
    if error.code == 416:
        return RangeError(what)
    if error.code in (408, 429) or error.code >= 500:
        return TransferError(what, pause=min(int(pause), MAX_PAUSE) if pause.isdecimal() else 0)
    return OSError(f"{url}: {what}")


def retry(url: str, attempt: Callable[[], T], *, received: Callable[[], int] = lambda: 0) -> T:
    """Repeat an attempt after growing pauses, until it succeeds or ``MAX_ATTEMPTS`` bring nothing new.

    Args:
        url: the address, for the message.
        attempt: raises :class:`TransferError` where another attempt is worth it.
        received: returns the number of bytes received so far.
    """
    failures, most = 0, received()
    while True:
        try:
            return attempt()
        except TransferError as error:
            # Attempts that bring new bytes are not counted. A file has an end, so this loop has one.
            failures = 0 if received() > most else failures + 1
            most = max(most, received())
            if failures == MAX_ATTEMPTS:
                raise OSError(f"{url}: gave up after {MAX_ATTEMPTS} attempts: {error}") from error
            sleep(max(error.pause, min(2.0**failures, MAX_PAUSE)))
