"""A folder as a web site on this machine, for as long as it is read."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


@contextmanager
def serve_folder(folder: str | Path) -> Iterator[tuple[str, int]]:
    """Serve the files of a folder over loopback HTTP; yields the address and the port.

    A file's ETag is the digest of its content and there is no Last-Modified: touching a file
    changes nothing, and no change hides behind an old modification time. A folder is its
    `index.html`; folders are not listed; links out of the folder lead nowhere.
    """
    handler = partial(_Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield "127.0.0.1", server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # not the system's table of types, which differs between machines
    extensions_map = {  # noqa: RUF012
        "": "application/octet-stream",
        **dict.fromkeys((".html", ".htm"), "text/html"),
        ".xhtml": "application/xhtml+xml",
        ".xml": "application/xml",
        ".txt": "text/plain",
    }

    def send_head(self):
        path = self.translate_path(self.path)
        # a file's name with a slash behind it is no name of it: its relative links would never end
        path = Path(path, "index.html") if path.endswith("/") else Path(path)
        if not path.is_file() or not path.resolve().is_relative_to(Path(self.directory).resolve()):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        unchanged = self.headers.get("If-None-Match") == etag
        self.send_response(HTTPStatus.NOT_MODIFIED if unchanged else HTTPStatus.OK)
        self.send_header("ETag", etag)
        if not unchanged:
            self.send_header("Content-Type", self.guess_type(path.name))
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return None if unchanged else io.BytesIO(content)

    def log_message(self, *_):
        pass
