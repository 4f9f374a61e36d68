"""One writer of a run directory, also where several machines see it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from tts_compare.errors import UsageError
from tts_compare.rundir.lock import (
    STALE_S,
    DirectoryLock,
    HeartbeatFile,
    Holder,
    file_system,
    holder_here,
    read_holder,
)

MOUNTS = [
    "22 1 8:1 / / rw - ext4 /dev/sda1 rw",
    "30 22 0:40 / /home rw shared:7 - nfs4 server:/home rw",
    "31 30 0:41 / /home/local\\040disk rw - xfs /dev/sdb rw",
    "torn line",
]


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/tmp/run", "ext4"), ("/home/me/run", "nfs4"), ("/homely/run", "ext4"), ("/home/local disk/run", "xfs")],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


def at(path: Path) -> Path:
    return path / ".lock.holder"


def leave(path: Path, *, age_s: float = 0.0, **holder: object) -> Holder:
    """A lock that somebody left."""
    left = msgspec.convert({"token": "theirs", "host": "other", "boot": "b", "pid": 1, **holder}, Holder)
    at(path).write_bytes(msgspec.json.encode(left))
    seen = time.time() - age_s
    os.utime(at(path), (seen, seen))
    return left


def test_a_lock_file_names_its_holder_and_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with DirectoryLock(tmp_path, shared=True):
        held = read_holder(at(tmp_path))
        assert held is not None
        assert (held.pid, held.job) == (os.getpid(), "17")
        with pytest.raises(UsageError, match=f"process {os.getpid()} on .*, job 17"):
            DirectoryLock(tmp_path, shared=True)
    assert list(tmp_path.iterdir()) == []


def test_a_holder_on_another_machine_keeps_its_lock_while_it_gives_signs_of_life(tmp_path: Path) -> None:
    left = leave(tmp_path, age_s=STALE_S / 2)
    with pytest.raises(UsageError, match="process 1 on other"):
        DirectoryLock(tmp_path, shared=True)
    assert read_holder(at(tmp_path)) == left


def test_a_lock_without_a_sign_of_life_is_taken_over(tmp_path: Path) -> None:
    leave(tmp_path, age_s=2 * STALE_S)
    with DirectoryLock(tmp_path, shared=True):
        held = read_holder(at(tmp_path))
        assert held is not None
        assert held.pid == os.getpid()


@pytest.mark.parametrize("change", [{"pid": 2**22 + 1}, {"boot": "an earlier one"}])
def test_a_lock_of_a_process_of_this_machine_that_is_gone_is_taken_over_at_once(
    tmp_path: Path, change: dict[str, object]
) -> None:
    here = msgspec.to_builtins(holder_here())
    leave(tmp_path, **here | {"token": "theirs"} | change)
    with DirectoryLock(tmp_path, shared=True):
        pass


def test_a_live_process_of_this_machine_is_never_robbed_however_old_its_sign(tmp_path: Path) -> None:
    leave(tmp_path, age_s=10 * STALE_S, **msgspec.to_builtins(holder_here()) | {"token": "theirs"})
    with pytest.raises(UsageError, match="another process"):
        DirectoryLock(tmp_path, shared=True)


def test_who_finds_a_stale_lock_second_does_not_remove_the_lock_of_the_first(tmp_path: Path) -> None:
    """The second has read the stale lock, and removes what by then is the first one's."""
    stale = leave(tmp_path, age_s=2 * STALE_S)
    first, second = HeartbeatFile(at(tmp_path)), HeartbeatFile(at(tmp_path))
    assert first.try_take() is None
    second._put_aside(stale)
    assert read_holder(at(tmp_path)) == first.me
    assert first.beat()
    first.release()


def test_a_holder_whose_lock_was_taken_notices_and_does_not_remove_the_new_one(tmp_path: Path) -> None:
    mine = HeartbeatFile(at(tmp_path))
    assert mine.try_take() is None
    other = leave(tmp_path)
    assert not mine.beat()
    mine.release()
    assert read_holder(at(tmp_path)) == other


def test_a_lock_file_that_is_being_written_is_somebodys(tmp_path: Path) -> None:
    at(tmp_path).write_bytes(b"")
    with pytest.raises(UsageError, match="another process"):
        DirectoryLock(tmp_path, shared=True)


def test_a_waiting_process_gets_the_lock_of_one_that_ends(tmp_path: Path) -> None:
    first = DirectoryLock(tmp_path, shared=False)
    first.close()
    with DirectoryLock(tmp_path, shared=False, wait_s=0.1), pytest.raises(UsageError):
        DirectoryLock(tmp_path, shared=False, wait_s=0.05)
