"""Commands of noisediag without the start of a process each: forks of one that has imported the libraries.

`with serving() as folder:` starts it; a shell that has `function(folder)` runs `noisediag ...` as a client does, on its
own standard streams, in its own folder and environment, and gets the exit code.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEVER_SAID = 139  # the exit code of a command that ended without one
START_S = 120.0


def function(folder: str) -> str:
    """The line of shell by which `noisediag` is a client of the server in `folder`."""
    client = shlex.join([sys.executable, "-S", "-E", str(Path(__file__)), folder])
    return f'noisediag() {{ {client} "$@"; }}'


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Run the server while the context lasts; gives its folder."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        environment.pop("NOISEDIAG_ENGINE", None)
        server = subprocess.Popen([sys.executable, __file__, folder, "--serve"], env=environment)
        try:
            until = time.monotonic() + START_S
            while not Path(folder, "socket").exists():
                if server.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("the server of commands does not start")
                time.sleep(0.05)
            yield folder
        finally:
            server.kill()
            server.wait()


def serve(folder: str) -> None:
    """Answer each client with a fork, for ever."""
    import importlib

    import noisediag.cli  # noqa: F401

    for name in ("torch", "scipy.ndimage", "imagecodecs", "tifffile", "rawpy", "safetensors", "rich.table", "jinja2"):
        importlib.import_module(name)  # of ours nothing that chooses what to compute with
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that the system reaps them
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(os.path.join(folder, "starting"))  # noqa: PTH118
    listening.listen(16)
    Path(folder, "starting").rename(Path(folder, "socket"))
    while True:
        client, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _answer(client)
        client.close()


def _answer(client: socket.socket) -> None:
    """Do what one client asks, in this process, and end it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, ancillary, _, _ = client.recvmsg(8, socket.CMSG_SPACE(12))
    streams = array.array("i")
    streams.frombytes(ancillary[0][2][:12])
    size = int.from_bytes(head, "big")
    asked = json.loads(client.makefile("rb").read(size))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - the server's know another file
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["noisediag", *asked["arguments"]]

    from noisediag.cli import main

    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    client.sendall(bytes([code if isinstance(code, int) else 1 if code else 0]))
    os._exit(0)


def ask(folder: str, arguments: list[str]) -> int:
    """What a client does: hand over standard streams, folder, environment and arguments; the exit code."""
    asked = {"folder": os.getcwd(), "environment": dict(os.environ), "arguments": arguments}  # noqa: PTH109
    body = json.dumps(asked).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(os.path.join(folder, "socket"))  # noqa: PTH118
        streams = array.array("i", [0, 1, 2])
        server.sendmsg([len(body).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        server.sendall(body)
        said = server.recv(1)
    return said[0] if said else NEVER_SAID


if __name__ == "__main__":
    if sys.argv[2:] == ["--serve"]:
        serve(sys.argv[1])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
