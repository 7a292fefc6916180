"""A folder as a web site on this machine, for as long as it is read."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import MimeTypes
from pathlib import Path
from threading import Thread

from kalam.files.digests import digest_file


@contextmanager
def serve_folder(folder: str | Path) -> Iterator[tuple[str, int]]:
    """Serve the files of a folder over loopback HTTP; yields the address and the port.

    A file's ETag is the digest of its content and there is no Last-Modified: touching a file
    changes nothing, and a change is seen whatever the file's modification time says. A URL that
    ends in a slash is the folder's `index.html`; folders are not listed; links out of the served
    folder are not followed.
    """
    handler = partial(FolderHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield "127.0.0.1", server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class FolderHandler(SimpleHTTPRequestHandler):
    """Answers from the files of `directory`, as `serve_folder` says."""

    protocol_version = "HTTP/1.1"
    # types that Python's own table lacks or names otherwise
    extensions_map = {".xhtml": "application/xhtml+xml", ".xml": "application/xml", ".webp": "image/webp"}  # noqa: RUF012
    python_types = MimeTypes()  # without the system's table, which differs between machines

    def send_head(self):
        path = self.translate_path(self.path)
        # a slash after the name of a file would make its relative links new URLs, without end
        path = Path(path, "index.html") if path.endswith("/") else Path(path)
        if not path.is_file() or not path.resolve().is_relative_to(Path(self.directory).resolve()):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        etag = f'"{digest_file(path)}"'
        unchanged = self.headers.get("If-None-Match") == etag
        self.send_response(HTTPStatus.NOT_MODIFIED if unchanged else HTTPStatus.OK)
        self.send_header("ETag", etag)
        if not unchanged:
            self.send_header("Content-Type", self.guess_type(path.name))
            self.send_header("Content-Length", str(path.stat().st_size))
        self.end_headers()
        return None if unchanged else path.open("rb")

    def copyfile(self, source, outputfile):
        with suppress(OSError):  # who has read enough goes away
            super().copyfile(source, outputfile)

    def guess_type(self, path):
        extension = Path(path).suffix.lower()
        known = self.extensions_map.get(extension) or self.python_types.guess_type(path)[0]
        return known or "application/octet-stream"

    def log_message(self, *_):
        pass
