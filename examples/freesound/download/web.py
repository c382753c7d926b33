"""Requests over a network that may break off, and what is worth another attempt."""

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

ATTEMPTS = 5  # in a row that bring nothing new
LONGEST_PAUSE = 60  # seconds between two of them
TIMEOUT = 60  # seconds without a byte

T = TypeVar("T")


class BrokenOffError(Exception):
    """A request that may go better next time, after a pause of so many seconds if the server names one."""

    def __init__(self, reason: str, *, pause: float = 0) -> None:
        super().__init__(reason)
        self.pause = pause


class RangeRefusedError(BrokenOffError):
    """The server has no bytes where the request wanted to begin."""


def check_url(name: str, url: object) -> str:
    """Refuse whatever is not an address of the web: urllib would read ``file:`` too."""
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise ValueError(f"{name}: wanted an address that begins with https:// or http://, got {url!r}")
    return url


@contextmanager
def opened(url: str, *, start: int = 0) -> Iterator[HTTPResponse]:
    """Ask for ``url`` from byte ``start`` on; the server may answer with the whole.

    Raises:
        BrokenOffError: if the connection fails, then or while the body is read, or the server is too busy.
        OSError: if the server refuses, or is not the one it claims to be.
    """
    headers = {"User-Agent": "freesound2019.py (rankaudio)"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with urlopen(Request(url, headers=headers), timeout=TIMEOUT) as response:
            yield response
    except HTTPError as error:
        with error:
            what = f"HTTP {error.code} {error.reason}"
            pause = error.headers.get("Retry-After", "")
        if error.code == 416:
            raise RangeRefusedError(what) from error
        if error.code in (408, 429) or error.code >= 500:
            seconds = min(int(pause), LONGEST_PAUSE) if pause.isdecimal() else 0
            raise BrokenOffError(what, pause=seconds) from error
        raise OSError(f"{url}: {what}") from error
    except InvalidURL as error:
        raise ValueError(f"{url}: wanted an address that can be asked for: {error}") from error
    except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise OSError(f"{url}: {reason}") from error
        raise BrokenOffError(str(reason) or type(reason).__name__) from error


def persist(url: str, attempt: Callable[[], T], *, reached: Callable[[], int] = lambda: 0) -> T:
    """Attempt again, after growing pauses, until it works or nothing new has come in ``ATTEMPTS`` attempts.

    Args:
        url: what is asked for, for the message.
        attempt: raises :class:`BrokenOffError` where another attempt is worth it.
        reached: a number that grows with what has come so far.
    """
    failures, furthest = 0, reached()
    while True:
        try:
            return attempt()
        except BrokenOffError as error:
            # What grows cannot grow for ever, so this ends.
            failures = 0 if reached() > furthest else failures + 1
            furthest = max(furthest, reached())
            if failures == ATTEMPTS:
                raise OSError(f"{url}: gave up after {ATTEMPTS} attempts: {error}") from error
            sleep(max(error.pause, min(2.0**failures, LONGEST_PAUSE)))
