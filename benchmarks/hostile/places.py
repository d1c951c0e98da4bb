"""Where files lie: links out of the output, devices and pipes in place of files, and hosts that cheat."""

from __future__ import annotations

import gzip
import os
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.hostile.case import Room, case, cases_in
from pipeline.sources import inputs

# -- links, devices, pipes -----------------------------------------------------------------------------------------


@case("output folder of a title is a link to the outside", "refused", "a symbolic link leads there")
def title_link(room: Room) -> list[str]:
    room.out.mkdir()
    (room.out / "one").symlink_to(room.outside)
    return room.catalog()


@case("folder of inputs is a link to the outside", "refused", "a symbolic link leads there")
def inputs_link(room: Room) -> list[str]:
    room.out.mkdir()
    (room.out / "_inputs").symlink_to(room.outside)
    return room.catalog()


@case("final.mp4 is a link to a file outside", "harmless")
def final_link(room: Room) -> list[str]:
    (room.out / "one").mkdir(parents=True)
    (room.out / "one/final.mp4").symlink_to(room.outside / "secret.txt")
    return room.catalog()


@case("final.mp4 is a link to nothing outside", "harmless")
def dangling(room: Room) -> list[str]:
    (room.out / "one").mkdir(parents=True)
    (room.out / "one/final.mp4").symlink_to(room.outside / "made")
    return room.catalog()


LATENTS = "one/chain/*/chain/objects/00000000-*-latents"


def _in_place(room: Room, key: str, make: Callable[[Path], None]) -> list[list[str]]:
    """Something else in the place of an object of the good title."""
    room.rendered()
    (path,) = room.out.glob(key)
    path.unlink()
    make(path)
    return [["status", str(room.out)], ["verify", str(room.out)], room.again()]


@case("report.json is /dev/zero", "harmless")
def zero_report(room: Room) -> list[list[str]]:
    return _in_place(room, "one/report.json", lambda path: path.symlink_to("/dev/zero"))


@case("report.json is a pipe", "harmless")
def pipe_report(room: Room) -> list[list[str]]:
    return _in_place(room, "one/report.json", os.mkfifo)


@case("inputs.json is a pipe", "harmless")
def pipe_inputs(room: Room) -> list[list[str]]:
    return _in_place(room, "one/inputs.json", os.mkfifo)


@case("final.mp4 is a pipe", "reported", "final.mp4")
def pipe_final(room: Room) -> list[list[str]]:
    return _in_place(room, "one/final.mp4", os.mkfifo)[1:2]


@case("a record is a pipe", "harmless")
def pipe_record(room: Room) -> list[list[str]]:
    return _in_place(room, "one/stream/*/done/00000000.0.json", os.mkfifo)[-1:]


@case("an object is /dev/zero", "reported", "latents")
def zero_object(room: Room) -> list[list[str]]:
    return _in_place(room, LATENTS, lambda path: path.symlink_to("/dev/zero"))[1:2]


@case("an object is a link to a file outside", "reported", "latents")
def outside_object(room: Room) -> list[list[str]]:
    secret = room.outside / "secret.txt"
    return _in_place(room, LATENTS, lambda path: path.symlink_to(secret))[1:2]


@case("portrait is a pipe", "refused", "no ordinary file")
def pipe_portrait(room: Room) -> list[str]:
    os.mkfifo(room.studio / "pipe.png")
    return room.title(portrait="pipe.png")


@case("audio is /dev/zero by a link", "refused", "no ordinary file")
def zero_audio(room: Room) -> list[str]:
    (room.studio / "zero.wav").symlink_to("/dev/zero")
    return room.title(audio="zero.wav")


@case("audio is a socket", "refused", "no ordinary file")
def socket_audio(room: Room) -> list[str]:
    path = room.studio / "s.wav"
    with socket.socket(socket.AF_UNIX) as one:
        here = os.getcwd()
        os.chdir(room.studio)
        one.bind("s.wav")
        os.chdir(here)
    return room.title(audio=path.name)


@case("portrait is the environment of the process", "refused", "titles[0].portrait")
def environment(room: Room) -> list[str]:
    return room.title(portrait="/proc/self/environ")


@case("manifest is a pipe", "refused", "no ordinary file")
def pipe_manifest(room: Room) -> list[str]:
    os.mkfifo(room.studio / "pipe.yaml")
    return ["render", str(room.studio / "pipe.yaml"), "--executor", "inline"]


@case("manifest is /dev/zero", "refused", "no ordinary file")
def zero_manifest(room: Room) -> list[str]:
    return ["render", "/dev/zero", "--executor", "inline"]


@case("links in a circle", "refused", "cannot be read")
def circle(room: Room) -> list[str]:
    (room.studio / "a.png").symlink_to("b.png")
    (room.studio / "b.png").symlink_to("a.png")
    return room.title(portrait="a.png")


@case("sparse file of 100 GiB as sound", "refused", "expected at most")
def sparse(room: Room) -> list[str]:
    with (room.studio / "evil.wav").open("wb") as file:
        os.ftruncate(file.fileno(), 1 << 30)
    os.truncate(room.studio / "evil.wav", 100 << 30)
    return room.title(audio="evil.wav")


@case("sparse file of 1 GiB as portrait", "refused", "expected at most")
def sparse_portrait(room: Room) -> list[str]:
    os.truncate(room.file("evil.png", b"\x89PNG"), 1 << 30)
    return room.title(portrait="evil.png")


# -- hosts ---------------------------------------------------------------------------------------------------------

METADATA = {
    "metadata host": "http://169.254.169.254/latest/meta-data/",
    "metadata host as one number": "http://2852039166/latest/meta-data/",
    "metadata host in hexadecimal": "http://0xA9FEA9FE/x",
    "metadata host in IPv6 clothes": "http://[::ffff:169.254.169.254]/x",
    "metadata host in IPv6": "http://[fd00:ec2::254]/x",
    "host beyond the link": "http://[fe80::1]/x",
}


def _at(url: str) -> Callable[[Room], list[str]]:
    return lambda room: room.title(portrait=url, audio=url)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: Callable[[_Handler], None]

    def do_GET(self) -> None:  # the name is the library's
        try:
            type(self).answer(self)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True

    do_HEAD = do_GET

    def head(self, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments: object) -> None:
        """Who asked has hung up, as it should."""


def _server(room: Room, answer: Callable[[_Handler], None]) -> str:
    handler = type("Handler", (_Handler,), {"answer": staticmethod(answer)})
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    room.ports.add(port)
    return f"http://127.0.0.1:{port}/evil"


@case("host that sends on to the metadata host", "refused", "titles[0].portrait", "169.254.169.254")
def redirect(room: Room) -> list[str]:
    def answer(request: _Handler) -> None:
        request.head(302, Location="http://169.254.169.254/latest/meta-data/", Content_Length=0)

    return room.title(portrait=_server(room, answer))


@case("host that sends on to a file", "refused", "titles[0].portrait")
def redirect_file(room: Room) -> list[str]:
    def answer(request: _Handler) -> None:
        request.head(302, Location=f"file://{room.outside}/secret.txt", Content_Length=0)

    return room.title(portrait=_server(room, answer))


@case("host that sends on for ever", "refused", "titles[0].portrait")
def circle_host(room: Room) -> list[str]:
    def answer(request: _Handler) -> None:
        request.head(302, Location=request.path + "x", Content_Length=0)

    return room.title(portrait=_server(room, answer))


@case("host that claims 10 PB", "refused", "expected at most")
def petabytes(room: Room) -> list[str]:
    return room.title(audio=_server(room, lambda request: request.head(Content_Length=10**16)))


@case("host that does not tell a size", "refused", "does not tell its size")
def endless(room: Room) -> list[str]:
    def answer(request: _Handler) -> None:
        request.head(Connection="close")
        request.close_connection = True
        if request.command == "GET":
            request.wfile.write(bytes(1 << 20))

    return room.title(portrait=_server(room, answer))


@case("host that sends 2 GiB where it claimed 100 bytes", "refused", "titles[0].portrait")
def more(room: Room) -> list[str]:
    def answer(request: _Handler) -> None:
        if request.command == "HEAD":
            request.head(Content_Length=100)
            return
        request.head(206, Content_Length=2 << 30, Content_Range="bytes 0-99/100")
        for _ in range(2 << 10):
            request.wfile.write(bytes(1 << 20))

    return room.title(portrait=_server(room, answer))


@case("host whose answer unfolds to 2 GiB", "refused", "titles[0].portrait")
def gzipped(room: Room) -> list[str]:
    content = gzip.compress(bytes(64 << 20)) * 32

    def answer(request: _Handler) -> None:
        if request.command == "HEAD":
            request.head(Content_Length=1 << 20)
            return
        request.head(206, Content_Length=len(content), Content_Encoding="gzip", Content_Range="bytes 0-1048575/1048576")
        request.wfile.write(content)

    return room.title(portrait=_server(room, answer))


@case("host that sends less than it claimed", "refused", "titles[0].portrait")
def less(room: Room) -> list[str]:
    def answer(request: _Handler) -> None:
        request.head(Content_Length=1000)
        if request.command == "GET":
            request.wfile.write(b"x" * 10)
        request.close_connection = True

    return room.title(portrait=_server(room, answer))


@case("host that sends a byte a second", "refused", "titles[0].portrait", "bytes came in")
def drip(room: Room) -> list[str]:
    inputs.PATIENCE = 2.0  # of this process only

    def answer(request: _Handler) -> None:
        request.head(Content_Length=100_000)
        if request.command == "GET":
            for _ in range(600):
                request.wfile.write(b"x")
                request.wfile.flush()
                time.sleep(1)

    return room.title(portrait=_server(room, answer))


@case("host with heads of 10 MB", "refused", "titles[0].portrait")
def heads(room: Room) -> list[str]:
    return room.title(portrait=_server(room, lambda request: request.head(X="x" * 10_000_000, Content_Length=5)))


@case("manifest of 100 MB at a host", "refused", "m.yaml", "larger than 16 MiB")
def long_manifest(room: Room) -> list[str]:
    def answer(request: _Handler) -> None:
        request.head(Content_Length=100_000_000)
        if request.command == "GET":
            request.wfile.write(b"#" * 100_000_000)

    return ["render", _server(room, answer) + "/m.yaml", "--executor", "inline"]


CASES = [
    *cases_in(globals()),
    *(case(name, "refused", "titles[0].portrait", "not accepted")(_at(url)) for name, url in METADATA.items()),
]
