"""A real HTTP server on loopback that answers as a test says and remembers what it was asked."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """One answer; `length` is told instead of the honest Content-Length; `raw` is all that is sent."""

    body: bytes | str = b""
    status: int = 200
    type: str | None = "text/html"
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False
    length: int | None = None
    raw: Iterable[bytes] | None = None


@dataclass
class Server:
    """Answers by path, its query included: one, or a list whose last one stays; or as a function says.

    Unknown paths are 404.
    """

    address: tuple[str, int]
    answers: dict[str, Answer | list[Answer]] | Callable[[str], Answer]
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.requests if path != "/robots.txt"]

    def next_answer(self, path: str, headers: dict[str, str]) -> Answer:
        self.requests.append((path, headers))
        answer = self.answers(path) if callable(self.answers) else self.answers.get(path, Answer(status=404))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        etag = answer.headers.get("ETag")
        return Answer(status=304, headers=answer.headers) if etag and headers.get("If-None-Match") == etag else answer


@contextmanager
def scripted(answers: dict[str, Answer | list[Answer]] | Callable[[str], Answer]) -> Iterator[Server]:
    """Serve `answers` while the block runs."""
    state = Server(("", 0), answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            answer = state.next_answer(self.path, dict(self.headers))
            if answer.hang_up or answer.raw is not None:
                self.close_connection = True
                with suppress(OSError):  # nobody may wait for the end
                    for piece in answer.raw or ():
                        self.wfile.write(piece)
                return
            body = answer.body.encode() if isinstance(answer.body, str) else answer.body
            self.send_response(answer.status)
            if answer.type:
                self.send_header("Content-Type", answer.type)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 304:
                self.send_header("Content-Length", str(len(body) if answer.length is None else answer.length))
            self.end_headers()
            if answer.status != 304:
                self.wfile.write(body)
            self.close_connection = answer.length is not None

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.address = server.server_address[:2]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.time = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
