import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from ollamax.errors import GGUFError, StoreError
from ollamax.store import Layer, MediaType, Store, manifests
from ollamax.store.durable import write_atomically


def full_disk(sink):
    sink.write(b"some bytes")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted(sink):
    sink.write(b"some bytes")
    raise KeyboardInterrupt


def broken_source(sink):
    sink.write(b"some bytes")
    raise GGUFError("x.gguf", "is odd")


@pytest.mark.parametrize(
    ("writer", "raised", "problem"),
    [
        (full_disk, StoreError, "the disk is full; free some space, or set OLLAMAX_MODELS"),
        (interrupted, KeyboardInterrupt, None),
        (broken_source, GGUFError, "is odd"),
    ],
)
def test_what_fails_in_the_middle_leaves_the_store_as_it_was(store, put, snapshot, writer, raised, problem):
    put("demo")
    before = snapshot()

    def create():
        with store.transaction() as transaction:
            transaction.add_bytes(MediaType.SYSTEM, b"new text")
            transaction.add(MediaType.MODEL, writer)

    with pytest.raises(raised, match=problem):
        create()
    assert snapshot() == before


def test_blobs_appear_only_with_their_name(store, put, snapshot):
    put("demo")
    before = snapshot()
    with store.transaction() as transaction:
        transaction.add_bytes(MediaType.SYSTEM, b"new text")
        assert {key for key in snapshot() if "/sha256-" in key} == {key for key in before if "/sha256-" in key}
        put("other", b"other weights")  # another transaction, and its sweep, meanwhile
        layer = transaction.add_bytes(MediaType.MODEL, b"GGUF weights")
        transaction.commit("third", transaction.add_bytes(MediaType.CONFIG, b"{}"), [layer])
    assert len(store.list()) == 3


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_commit_that_fails_leaves_the_store_as_it_was(store, put, snapshot, monkeypatch, error):
    put("demo", system="old")
    before = snapshot()

    def fail(*_args):
        raise error

    monkeypatch.setattr(manifests, "write_atomically", fail)
    with pytest.raises(StoreError if isinstance(error, OSError) else KeyboardInterrupt):
        put("demo", b"new weights", system="new")
    with pytest.raises(StoreError if isinstance(error, OSError) else KeyboardInterrupt):
        put("new/name", b"new weights", system="new")
    assert snapshot() == before
    assert not (store.root / "manifests/local/new").exists()


def test_an_interrupt_behind_the_last_step_keeps_the_whole_model(store, put, monkeypatch):
    def interrupt(path, data):
        write_atomically(path, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(manifests, "write_atomically", interrupt)
    with pytest.raises(KeyboardInterrupt):
        put("demo", system="new")
    monkeypatch.undo()
    assert store.get("demo").system == "new"
    assert store.get("demo").model_path.read_bytes() == b"GGUF weights"


def test_a_file_is_copied_with_progress_and_stays_independent(store, tmp_path):
    source = tmp_path / "model.gguf"
    source.write_bytes(os.urandom(5 * 2**20))
    contents = source.read_bytes()
    seen = []
    with store.transaction() as transaction:
        layer = transaction.add_file(MediaType.MODEL, source, lambda done, total: seen.append((done, total)))
        transaction.commit("demo", transaction.add_bytes(MediaType.CONFIG, b"{}"), [layer])
    assert seen == [(4 * 2**20, 5 * 2**20), (5 * 2**20, 5 * 2**20)]
    source.write_bytes(b"changed")
    assert store.get("demo").model_path.read_bytes() == contents


def test_a_source_that_cannot_be_read_is_named(store, tmp_path):
    with store.transaction() as transaction, pytest.raises(StoreError, match=r"absent\.gguf: the file cannot be read"):
        transaction.add_file(MediaType.MODEL, tmp_path / "absent.gguf")


def test_equal_blobs_are_stored_once(store, snapshot):
    with store.transaction() as transaction:
        first = transaction.add_bytes(MediaType.MODEL, b"same")
        second = transaction.add_bytes(MediaType.SYSTEM, b"same")
        assert first.digest == second.digest
        transaction.commit("demo", transaction.add_bytes(MediaType.CONFIG, b"same"), [first, second])
    assert len(snapshot()) == 2
    assert store.get("demo").system == "same"


def test_a_model_may_be_built_on_the_blobs_of_another(store, put):
    base = put("base", system="base system")
    with store.transaction() as transaction:
        system = transaction.add_bytes(MediaType.SYSTEM, b"own system")
        transaction.commit("mine", base.stored.manifest.config, [base.layers[0], system])
    store.remove("base")
    assert store.get("mine").system == "own system"
    assert store.get("mine").model_path.read_bytes() == b"GGUF weights"


def test_a_layer_that_is_not_in_the_store_cannot_be_committed(store, put, snapshot):
    put("demo")
    before = snapshot()
    absent = Layer(MediaType.MODEL, "sha256:" + "0" * 64, 3)
    with pytest.raises(StoreError, match="the blob is missing"), store.transaction() as transaction:
        transaction.commit("new", transaction.add_bytes(MediaType.CONFIG, b"new config"), [absent])
    assert snapshot() == before


def test_a_blob_that_was_cut_short_is_replaced(store, put):
    model = put("demo")
    model.model_path.write_bytes(b"cut")
    assert put("demo").model_path.read_bytes() == b"GGUF weights"


def test_orphans_and_what_dead_processes_left_are_swept(store, put, snapshot):
    put("demo")
    before = snapshot()
    blobs = store.root / "blobs"
    (blobs / ("sha256-" + "0" * 64)).write_bytes(b"orphan")
    dead = blobs / ".transaction-0123"
    dead.mkdir()
    (dead / "lock").touch()
    (dead / "half a blob").write_bytes(b"x")
    (store.root / "manifests/local/library/demo/.partial-0123").write_bytes(b"x")
    (blobs / "not ours").write_bytes(b"kept")
    put("other")
    store.remove("other")
    assert snapshot() == {**before, "blobs/not ours": b"kept"}
    assert not dead.exists()


def test_a_transaction_that_is_alive_is_not_swept(store, put):
    put("demo")
    with store.transaction() as transaction:
        layer = transaction.add_bytes(MediaType.MODEL, b"being written")
        store.remove("demo")
        transaction.commit("new", transaction.add_bytes(MediaType.CONFIG, b"{}"), [layer])
    assert store.get("new").model_path.read_bytes() == b"being written"


HOLDER = """
import sys, time
from pathlib import Path
from ollamax.store.lock import FileLock
lock = FileLock(Path(sys.argv[1]) / "lock")
lock.acquire(0)
print("held", flush=True)
time.sleep(600)
"""


def test_another_processs_lock_is_waited_for_and_freed_when_it_dies(store, put, snapshot):
    put("demo")
    before = snapshot()
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(store.root)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        for change in (lambda: store.remove("demo"), lambda: store.copy("demo", "b"), lambda: put("c")):
            with pytest.raises(StoreError, match=r"another process has been changing the model store for 0\.2 s; wait"):
                change()
        assert store.get("demo").name.model == "demo"  # reading needs no lock
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert snapshot() == before
    store.copy("demo", "b")


KILLED = """
import os, signal, sys
from pathlib import Path
from ollamax.store import MediaType, Store
store = Store(Path(sys.argv[1]))
with store.transaction() as transaction:
    transaction.add_bytes(MediaType.SYSTEM, b"text")
    transaction.add(MediaType.MODEL, lambda sink: (sink.write(b"x" * 100000), os.kill(os.getpid(), signal.SIGKILL)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_process_killed_while_it_writes_leaves_nothing_that_a_sweep_would_not_get(store, put, snapshot):
    put("demo")
    before = snapshot()
    done = subprocess.run([sys.executable, "-c", KILLED, str(store.root)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(snapshot()) > len(before)
    put("demo")
    assert snapshot() == before


LIMITED = """
import resource, sys
from pathlib import Path
from ollamax.errors import StoreError
from ollamax.store import MediaType, Store
store = Store(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with store.transaction() as transaction:
        transaction.add_file(MediaType.MODEL, Path(sys.argv[2]))
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_file_that_the_system_refuses_to_grow_is_reported_and_removed(store, put, snapshot, tmp_path):
    put("demo")
    before = snapshot()
    big = tmp_path / "big.gguf"
    big.write_bytes(bytes(300_000))
    arguments = [sys.executable, "-c", LIMITED, str(store.root), str(big)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "the disk is full" in done.stdout
    assert snapshot() == before


CREATOR = """
import sys
from pathlib import Path
from ollamax.store import MediaType, Store
store = Store(Path(sys.argv[1]))
for index in range(6):
    with store.transaction() as transaction:
        layer = transaction.add_bytes(MediaType.MODEL, b"weights %d" % (index % 3))
        transaction.commit(f"m{sys.argv[2]}", transaction.add_bytes(MediaType.CONFIG, b"{}"), [layer])
    if index % 2:
        store.remove(f"m{sys.argv[2]}")
"""


def test_processes_that_change_one_store_at_once_do_not_harm_each_other(tmp_path):
    root = tmp_path / "models"
    workers = [subprocess.Popen([sys.executable, "-c", CREATOR, str(root), str(number)]) for number in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    store = Store(root)
    assert store.list() == []
    assert store.damage() == []
    assert [path.name for path in (root / "blobs").iterdir()] == []


def test_bytes_are_on_the_disk_before_they_have_a_name(put, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def note_replace(source, target):
        events.append("blob" if "sha256-" in str(target) else "manifest")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    put("demo")
    assert events == ["file", "file", "blob", "blob", "folder", "file", "manifest", "folder"]
