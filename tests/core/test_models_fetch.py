"""Getting weights: resumed, checked, whole or not there at all; and no other scheme than http."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from musetalk_core.errors import ModelError
from musetalk_core.models.fetch import download, get_entry, get_source, source_url
from musetalk_core.models.registry import REGISTRY, Entry, KnownFile, page
from musetalk_core.progress import SilentProgress

CONTENT = bytes(range(256)) * 20_000  # 5.12 MB: several reads
CHECKSUM = sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT on the loopback, with ranges, and can break off."""

    daemon_threads = True
    content = CONTENT
    tag = '"one"'
    break_after: int | None = None  # bytes after which a connection is cut
    breaks = 0  # how many connections are cut
    status = 200
    length = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        if self.headers.get("If-Range") not in (None, self.server.tag):
            start = 0
        body = self.server.content[start:]
        if wanted and not body:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(self.server.content)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if self.server.tag:
            self.send_header("ETag", self.server.tag)
        if self.server.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.break_after is not None and self.server.breaks > 0:
            self.server.breaks -= 1
            body = body[: self.server.break_after]
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        return


class Bytes:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None]] = []
        self.count = 0

    def start(self, stage: str, total: int | None) -> None:
        self.stages.append((stage, total))
        self.count = 0

    def advance(self, count: int = 1, preview: object = None) -> None:
        self.count += count


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole(server: Server, tmp_path: Path) -> None:
    progress = Bytes()
    path = get_source(f"{server.url}/folder/w%20x.safetensors?download=true", tmp_path / "new", CHECKSUM, progress)
    assert path == tmp_path / "new" / "w x.safetensors"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["w x.safetensors"]
    assert progress.stages == [
        ("get w x.safetensors", len(CONTENT)),
        ("check w x.safetensors.part", len(CONTENT)),
    ]
    assert progress.count == len(CONTENT)


def test_a_broken_connection_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.break_after, server.breaks = 2_000_000, 2
    assert get_source(f"{server.url}/w.pt", tmp_path, CHECKSUM).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=2000000-", "bytes=4000000-"]


def test_an_interrupted_download_goes_on_later(server: Server, tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    class Stopping(SilentProgress):
        def advance(self, count: int = 1, preview: object = None) -> None:
            if count:
                raise Stop

    with pytest.raises(Stop):
        get_source(f"{server.url}/w.pt", tmp_path, CHECKSUM, Stopping())
    assert names(tmp_path) == ["w.pt.part", "w.pt.part.tag"]
    assert get_source(f"{server.url}/w.pt", tmp_path, CHECKSUM).read_bytes() == CONTENT
    assert server.asked[1][1] is not None
    assert names(tmp_path) == ["w.pt"]


@pytest.mark.parametrize("change", ["other file", "no tag"])
def test_a_part_of_another_file_is_never_continued(server: Server, tmp_path: Path, change: str) -> None:
    (tmp_path / "w.pt.part").write_bytes(b"x" * 1000)
    (tmp_path / "w.pt.part.tag").write_text('"old"' if change == "other file" else "")
    assert get_source(f"{server.url}/w.pt", tmp_path).read_bytes() == CONTENT


def test_a_whole_part_is_finished(server: Server, tmp_path: Path) -> None:
    """The machine went down after the last byte: the server has nothing left to send."""
    for extra, connections in ((b"", 1), (b"of a longer file", 2)):
        (tmp_path / "w.pt.part").write_bytes(CONTENT + extra)
        (tmp_path / "w.pt.part.tag").write_text(server.tag)
        server.asked.clear()
        assert get_source(f"{server.url}/w.pt", tmp_path, CHECKSUM).read_bytes() == CONTENT
        assert len(server.asked) == connections
        (tmp_path / "w.pt").unlink()


def test_a_server_without_length_or_tag_is_enough(server: Server, tmp_path: Path) -> None:
    server.length, server.tag = False, ""
    assert get_source(f"{server.url}/w.pt", tmp_path, CHECKSUM).read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"has sha256 {CHECKSUM}, not {'0' * 64}; it was deleted"):
        get_source(f"{server.url}/w.pt", tmp_path, "0" * 64)
    assert names(tmp_path) == []


def test_a_wrong_size_is_refused_before_it_is_fetched(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has 5120000 bytes, not the 7 that are expected"):
        download(KnownFile("w.pt", f"{server.url}/w.pt", 7), tmp_path / "w.pt", SilentProgress())
    assert names(tmp_path) == []


def test_a_connection_that_never_holds_gives_up(server: Server, tmp_path: Path) -> None:
    server.break_after, server.breaks = 10, 99
    with pytest.raises(ModelError, match="broke off 5 times"):
        get_source(f"{server.url}/w.pt", tmp_path)
    assert len(server.asked) == 5


@pytest.mark.parametrize("status", [401, 404, 500])
def test_what_the_server_answers_is_said(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status
    with pytest.raises(ModelError, match=f"answers {status}"):
        get_source(f"{server.url}/w.pt", tmp_path)


def test_nobody_answers(server: Server, tmp_path: Path) -> None:
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(ModelError, match="could not be fetched"):
        get_source(f"{url}/w.pt", tmp_path)


def test_files_that_are_there_are_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(CONTENT)
    get_source(f"{server.url}/w.pt", tmp_path, CHECKSUM)
    assert server.asked == []
    (tmp_path / "w.pt").write_bytes(b"mine")
    with pytest.raises(ModelError, match="is not the file that was asked for"):
        get_source(f"{server.url}/w.pt", tmp_path, CHECKSUM)
    assert (tmp_path / "w.pt").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "source",
    [
        *("file:///etc/x.pt", "ftp://host/x.pt", "FILE://x/x.pt", "data:x.pt"),
        *("x.pt", "owner/name", "a/b/c:x.pt", ""),
        *("http://h/x.exe", "http://h/..%5cx.pt", "http://h/"),
    ],
)
def test_other_sources_are_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(ModelError):
        get_source(source, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_hub_ids_and_mirrors(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert source_url("o/r:a b/w.pt") == "https://huggingface.co/o/r/resolve/main/a%20b/w.pt"
    monkeypatch.setenv("HF_ENDPOINT", f"{server.url}/")
    get_source("o/r:folder/w.pt", tmp_path, CHECKSUM)
    assert server.asked == [("/o/r/resolve/main/folder/w.pt", None)]


def test_networks_of_the_registry_take_their_place(server: Server, tmp_path: Path) -> None:
    file = KnownFile("a/w.pt", f"{server.url}/w.pt", len(CONTENT), CHECKSUM)
    entry = Entry("x", "X", "vae", "MIT", (KnownFile("a/w.safetensors"), file))
    assert get_entry(entry, tmp_path) == tmp_path / "a" / "w.pt"
    with pytest.raises(ModelError, match="Nobody offers X"):
        get_entry(Entry("x", "X", "vae", "MIT", (KnownFile("a/w.safetensors"),)), tmp_path)


def test_the_registry_is_sound() -> None:
    for key, entry in REGISTRY.items():
        assert key == entry.id
        assert entry.download is not None
        for file in entry.files:
            assert not Path(file.place).is_absolute()
            assert ".." not in file.place
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
            if file.source:
                assert source_url(file.source).startswith("https://")
                assert page(file.source).startswith("https://")
