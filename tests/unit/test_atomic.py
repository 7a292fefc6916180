"""Outputs that are whole or absent, of two writers the later one's, and a full disk told in a line."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from safetensors import SafetensorError

from kalam.files.atomic import atomic_directory, atomic_write, replacement
from kalam.files.claim import claim, require_claim
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, read_jsonl
from kalam.training.handout import hand_out


@pytest.fixture
def log(tmp_path):
    """The log of a job, which this process claims for the length of a test."""
    claim(tmp_path / "log", anew=True)
    yield tmp_path / "log"
    claim(tmp_path / "none", anew=False)


@pytest.fixture(autouse=True)
def kalam_in_children(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_two_writers_have_two_temporary_files_and_the_later_one_stands(tmp_path):
    path = tmp_path / "rows.jsonl"
    told = f"^{path}: left as it is, since another process has begun to make it$"
    with pytest.raises(InputError, match=told), atomic_write(path) as first:
        first.write("ক\n")
        first.flush()
        (before,) = names(tmp_path)
        with atomic_write(path) as second:
            second.write("খ\n")
            first.write("গ\n" * 99)
            first.flush()
            (after,) = names(tmp_path)
    assert before != after and {before[:12], after[:12]} == {".rows.jsonl."} and before[-4:] == after[-4:] == ".tmp"
    assert path.read_text(encoding="utf-8") == "খ\n"
    assert names(tmp_path) == ["rows.jsonl"]


def test_what_dead_writers_left_of_the_same_output_goes_and_nothing_else(tmp_path):
    others = [".b.0123456789ab.tmp", ".a.b.0123456789ab.tmp", ".a.tmp", "a.0123456789ab.tmp"]
    for name in (*others, ".a.0123456789ab.tmp", ".a.ba9876543210.tmp"):
        (tmp_path / name).write_bytes(b"half")
    with atomic_write(tmp_path / "a", "wb") as handle:
        handle.write(b"whole")
    assert names(tmp_path) == sorted([*others, "a"])


def test_a_folder_that_another_makes_is_not_replaced_by_what_was_left_behind(tmp_path):
    with pytest.raises(InputError, match="folder: left as it is"), atomic_directory(tmp_path / "folder") as first:
        (first / "a").write_text("1")
        with atomic_directory(tmp_path / "folder") as second:
            assert not first.exists()
            (second / "a").write_text("2")
            (first / "sub").mkdir(parents=True)  # as a library does that is given a folder
    assert (tmp_path / "folder/a").read_text() == "2"
    assert names(tmp_path) == ["folder"]


def test_a_folder_replaces_an_older_one_whole(tmp_path):
    for content, name in (("1", "a"), ("2", "b")):
        with atomic_directory(tmp_path / "folder") as folder:
            (folder / "under").mkdir()
            (folder / "under" / name).write_text(content)
            (folder / "link").symlink_to("nowhere")
    assert names(tmp_path) == ["folder"] and names(tmp_path / "folder/under") == ["b"]
    with pytest.raises(KeyError), atomic_directory(tmp_path / "folder"):
        raise KeyError
    assert names(tmp_path) == ["folder"] and names(tmp_path / "folder/under") == ["b"]


def test_a_file_and_the_folders_of_a_folder_are_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def watched(descriptor):
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), (tmp_path / "folder").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    with atomic_directory(tmp_path / "folder") as folder:
        (folder / "under").mkdir()
        (folder / "under/a").write_text("1")
    before = {str(path) for path in (folder, folder / "under", folder / "under/a")}
    assert {path for path, there in synced if not there} == before
    assert synced[-1] == (str(tmp_path), True)


# --- whose turn it is


def test_a_job_that_was_left_behind_finds_another_in_its_place(tmp_path, log):
    require_claim("rows.jsonl")
    child = subprocess.run([sys.executable, "-c", f"from kalam.files.claim import claim; claim({str(log)!r}, True)"])
    assert child.returncode == 0
    with pytest.raises(InputError, match=r"rows.jsonl: left as it is, since another process has begun to make it \("):
        require_claim("rows.jsonl")
    with pytest.raises(InputError, match="a: left as it is"), atomic_write(tmp_path / "a"):
        pass
    with pytest.raises(InputError, match="b: left as it is"), atomic_directory(tmp_path / "b"):
        pass
    with pytest.raises(InputError, match=r"c\.gguf: left as it is"), replacement(tmp_path / "c.gguf", ".gguf") as part:
        part.write_bytes(b"GGUF")
        assert part.suffix == ".gguf"
    (tmp_path / "final").mkdir()
    (tmp_path / "final/meta.json").write_text("{}")
    with pytest.raises(InputError, match=r"results/meta.json: left as it is"):
        hand_out(tmp_path / "final", tmp_path / "results")
    assert names(tmp_path) == ["final", "log", "results"] and names(tmp_path / "results") == []


def test_a_log_that_somebody_removed_or_that_processes_share_takes_no_claim(tmp_path, log):
    subprocess.run([sys.executable, "-c", f"from kalam.files.claim import claim; claim({str(log)!r}, False)"])
    require_claim("rows.jsonl")
    log.unlink()
    require_claim("rows.jsonl")


def test_a_filter_that_was_left_behind_leaves_the_rows_and_the_counts_of_the_one_that_followed(tmp_path):
    """Each half of the old one's work at another time: before the new one, while it works, and after it."""
    old = textwrap.dedent("""
        import sys
        from kalam.data.filtering import write_filtered
        from kalam.files.logs import log_to

        def rows():
            for number in range(98):
                yield {"id": number}, None
                if number == 50:
                    print("there", flush=True)
                    sys.stdin.readline()

        log_to("log")
        write_filtered(rows(), "kept.jsonl", "dropped.jsonl", "counts.json")
    """)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", old], cwd=tmp_path, **pipes) as left_behind:
        left_behind.stdout.readline()
        new = old.replace("98", "46")
        assert subprocess.run([sys.executable, "-c", new], cwd=tmp_path, stderr=subprocess.PIPE).returncode == 0
        _, said = left_behind.communicate("\n", timeout=60)
    assert left_behind.returncode == 1
    assert "error: dropped.jsonl: left as it is, since another process has begun to make it" in said
    assert "Traceback" not in said
    assert len(list(read_jsonl(tmp_path / "kept.jsonl"))) == read_json(tmp_path / "counts.json")["kept"] == 46
    assert names(tmp_path) == ["counts.json", "dropped.jsonl", "kept.jsonl", "log"]
    assert "left as it is" not in (tmp_path / "log").read_text()


# --- a full disk


def test_a_full_disk_is_told_in_a_line_with_the_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(InputError) as told, atomic_write(path):
        full.write(b"x")
    wanted = "cannot be written: No space left on device; make room on the disk and run again"
    assert str(told.value) == f"{path}: {wanted}"
    told = "model: cannot be written: No space left"
    with pytest.raises(InputError, match=told), atomic_directory(tmp_path / "model"):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    with pytest.raises(PermissionError), atomic_write(path):
        raise PermissionError(errno.EACCES, "not mine")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("open('/dev/full', 'w', buffering=1).write('x' * 9999)", "cannot be written: No space left on device"),
        ("raise KeyboardInterrupt", "error: interrupted; run again to go on"),
        ("raise OSError(28, 'No space left on device', 'a.bin')", "error: a.bin: cannot be written: No space left"),
    ],
)
def test_what_ends_a_script_without_a_fault_of_its_own_is_a_line(tmp_path, fault, line):
    script = f"from kalam.files.logs import log_to\nlog_to('logs/log')\n{fault}\n"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert line in done.stderr and "Traceback" not in done.stderr
    assert line in (tmp_path / "logs/log").read_text()


def test_a_full_disk_under_the_log_ends_nothing(tmp_path):
    script = "import logging\nfrom kalam.files.logs import log_to\nlog_to('log')\n"
    script += "logging.getLogger().handlers[1].stream = open('/dev/full', 'w')\nlogging.info('so far')\n"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert "so far" in done.stderr and "Logging error" not in done.stderr
