"""Two processes on this machine, for tests of distributed code."""

import os
import socket
import subprocess
import sys

TIMEOUT = 120


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


def environment(**more):
    """Return this environment, with the import path of this process, to which pytest added folders."""
    loopback = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | loopback | more


def run_both(source, *, words):
    """Start fresh interpreters as torchrun does, and return the error output and the status of each."""
    (port,) = free_ports(1)
    started = []
    for rank in range(2):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        given = [sys.executable, "-c", source, *map(str, words)]
        env = environment(**place, **meeting)
        started.append(subprocess.Popen(given, env=env, stderr=subprocess.PIPE, text=True))
    try:
        return [(process.communicate(timeout=TIMEOUT)[1], process.returncode) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()
