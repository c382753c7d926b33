"""HTTP requests over an unreliable network, and when another attempt is worth it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse, InvalidURL
from time import sleep
from typing import TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

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
    """Accept only addresses of the web, because urllib also reads ``file:`` addresses."""
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise ValueError(f"{name}: wanted an address that begins with https:// or http://, got {url!r}")
    return url


@contextmanager
def open_url(url: str, *, start: int = 0) -> Iterator[HTTPResponse]:
    """Request ``url`` from byte ``start`` on. The server may answer with the whole file.

    Raises:
        TransferError: if the connection fails, also while the body is read, or if the server is too busy.
        OSError: if the server refuses, its certificate is wrong, or it redirects to an address without TLS.
    """
    headers = {"User-Agent": "rankaudio download"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with urlopen(Request(url, headers=headers), timeout=TIMEOUT) as response:
            _check_redirect(url, response.url)
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


def _check_redirect(url: str, final: str) -> None:
    """Refuse an answer from an address without TLS if the request had TLS: anyone could have written it."""
    if urlsplit(url).scheme == "https" and urlsplit(final).scheme != "https":
        raise OSError(f"{url}: wanted an answer over https, got a redirect to {final}")


def _error_of_status(url: str, error: HTTPError) -> Exception:
    """Return what to raise for an HTTP status that is an error."""
    what, pause = f"HTTP {error.code} {error.reason}", error.headers.get("Retry-After", "")
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
