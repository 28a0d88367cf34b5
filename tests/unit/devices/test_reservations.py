"""The files in which the runs of one machine tell each other what they have reserved."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tonnage.devices.reservations import (
    Busy,
    Reservations,
    ReservationsError,
    default_directory,
)
from tonnage.devices.reserved import Reserved, total

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.unit,
    pytest.mark.gpu_0,
    pytest.mark.skipif(sys.platform != "linux", reason="asks /proc who lives"),
]

OTHER = """
import sys, time
from pathlib import Path
from tonnage.devices.reservations import Reservations
from tonnage.devices.reserved import Reserved
mine = Reservations(Path(sys.argv[1]), "other")
with mine.deciding():
    mine.publish({"GPU-a": Reserved(8192, 1024)})
    if sys.argv[2] == "keep the turn":
        print("there", flush=True)
        time.sleep(600)
print("there", flush=True)
time.sleep(600)
"""


@pytest.fixture
def place(tmp_path):
    return tmp_path / "reservations"


@pytest.fixture
def ours(place):
    reservations = Reservations(place, "ours")
    yield reservations
    reservations.close()


@pytest.fixture
def start():
    """Start another run in the background, until the test ends."""
    processes = []

    def starting(place, how=""):
        process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(place), how], stdout=subprocess.PIPE
        )
        processes.append(process)
        assert process.stdout.readline() == b"there\n"
        return process

    yield starting
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def seen_by(reservations):
    with reservations.deciding() as others:
        return {each.run: dict(each.cards) for each in others}


def test_two_runs_see_each_other_and_not_themselves(place, ours):
    theirs = Reservations(place, "theirs")
    with ours.deciding():
        ours.publish({"GPU-a": Reserved(4096, 0)})
    with theirs.deciding() as others:
        assert total(others) == ({"GPU-a": 4096}, {"GPU-a": 4096})
        theirs.publish({"GPU-a": Reserved(8192, 8000), "GPU-b": Reserved(1, None)})
    assert seen_by(ours) == {"theirs": {"GPU-a": Reserved(8192, 8000), "GPU-b": Reserved(1)}}
    with ours.deciding() as others:
        assert total(others) == ({"GPU-a": 8192, "GPU-b": 1}, {"GPU-a": 192, "GPU-b": 0})
    with ours.deciding():
        ours.publish({})
    assert seen_by(theirs) == {"ours": {}}
    theirs.close()
    assert seen_by(ours) == {}


def test_a_killed_runs_reservations_vanish_with_its_file(place, ours, start):
    other = start(place)
    assert seen_by(ours) == {"other": {"GPU-a": Reserved(8192, 1024)}}
    other.kill()
    other.wait()
    assert seen_by(ours) == {}
    assert not (place / "other.run").exists()


def test_a_stopped_run_keeps_its_reservations(place, ours, start):
    os.kill(start(place).pid, signal.SIGSTOP)
    assert "other" in seen_by(ours)


def test_whoever_keeps_the_turn_too_long_is_not_waited_for(place, ours, start):
    other = start(place, "keep the turn")
    with pytest.raises(Busy), ours.deciding():
        pass
    other.kill()
    other.wait()
    assert seen_by(ours) == {}


FORKED = """
import os, sys
from pathlib import Path
from tonnage.devices.reservations import Reservations
from tonnage.devices.reserved import Reserved
mine = Reservations(Path(sys.argv[1]), "other")
with mine.deciding():
    mine.publish({"GPU-a": Reserved(8192, 0)})
if os.fork():
    os._exit(0)
print("there", flush=True)
sys.stdin.read()
"""


def test_a_fork_that_outlives_its_run_does_not_keep_the_reservations(place, ours):
    with subprocess.Popen(
        [sys.executable, "-c", FORKED, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"there\n"  # by the fork, which holds the lock now
        process.wait()
        assert seen_by(ours) == {}


def test_runs_around_us_and_inside_our_tests_are_not_counted(place):
    outer, inner = Reservations(place, "outer"), Reservations(place, "inner", outer="outer")
    innermost = Reservations(place, "innermost", outer="inner")
    beside = Reservations(place, "beside", outer="outer")
    runs = (outer, inner, innermost, beside)
    for _ in range(2):  # the second time everybody knows where it stands
        for each in runs:
            with each.deciding():
                each.publish({"GPU-a": Reserved(1, 0)})
    assert seen_by(outer) == {}
    assert seen_by(inner).keys() == seen_by(innermost).keys() == {"beside"}
    assert seen_by(beside).keys() == {"inner", "innermost"}
    for each in runs:
        each.close()


def valid(**changes):
    return {
        "format": 1,
        "run": "x",
        "pid": os.getpid(),
        "started": 0,
        "pid_namespace": 0,
        "within": [],
        "cards": {"GPU-a": [1, 0]},
        **changes,
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"[" * 50_000,
        b"[]",
        b"null",
        b" " * 70_000,
        *(
            json.dumps(valid(**changes)).encode()
            for changes in (
                {"format": 2},
                {"cards": [1]},
                {"cards": {"GPU-a": [-1, 0]}},
                {"cards": {"GPU-a": ["8", 0]}},
                {"cards": {"GPU-a": [1e300, 0]}},
                {"cards": {"GPU-a": [2**80, 0]}},
                {"cards": {"GPU-a": [1]}},
                {"within": 3},
            )
        ),
    ],
)
def test_garbage_is_passed_over_and_told_of_once(place, ours, content):
    import fcntl

    with open(place / "x.run", "wb") as file:
        file.write(content)
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        assert seen_by(ours) == seen_by(ours) == {}
        (notice,) = ours.notices
    assert notice.startswith(f"{place / 'x.run'} is passed over: ")


def test_links_and_pipes_are_not_followed(place, ours, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(json.dumps(valid()))
    (place / "a.run").symlink_to(secret)
    os.mkfifo(place / "b.run")
    os.link(secret, place / "c.run")
    assert seen_by(ours) == {}
    assert len(ours.notices) == 3
    assert secret.exists()


def test_a_place_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ReservationsError, match="link"):
        Reservations(tmp_path / "link", "ours")


def test_a_place_where_anyone_removes_anything_is_refused(place):
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(ReservationsError, match="no sticky bit"):
        Reservations(place, "ours")


def test_a_place_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ReservationsError, match="Not a directory"):
        Reservations(tmp_path / "file" / "below", "ours")


def test_a_place_that_somebody_tidied_is_made_good(place, ours):
    with ours.deciding():
        ours.publish({"GPU-a": Reserved(1, 0)})
    for path in place.iterdir():
        path.unlink()
    with ours.deciding():
        ours.publish({"GPU-a": Reserved(1, 0)})
    theirs = Reservations(place, "theirs")
    assert "ours" in seen_by(theirs)
    theirs.close()


def test_every_user_may_write_there_whatever_the_umask(place):
    before = os.umask(0o077)
    try:
        ours = Reservations(place, "ours")
        with ours.deciding():
            ours.publish({"GPU-a": Reserved(1, 0)})
    finally:
        os.umask(before)
    assert place.stat().st_mode & 0o7777 == 0o1777
    assert {path.name: path.stat().st_mode & 0o777 for path in place.iterdir()} == {
        "lock": 0o644,
        "ours.run": 0o644,
    }
    ours.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_two_users_see_each_other():
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        two_users_meet(Path(directory) / "reservations")


def two_users_meet(place):
    ours = Reservations(place, "ours")
    with ours.deciding():
        ours.publish({"GPU-a": Reserved(4096, 0)})
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setuid(65534)
            theirs = Reservations(place, "theirs")
            with theirs.deciding() as others:
                theirs.publish({"GPU-a": Reserved(2048, 0)})
            os.write(write, json.dumps([each.user for each in others]).encode())
            signal.pause()
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    try:
        assert os.read(read, 4096) == b"[0]"
        with ours.deciding() as others:
            assert [(each.user, each.cards["GPU-a"].reserved_mib) for each in others] == [
                (65534, 2048)
            ]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)
    assert seen_by(ours) == {}
    ours.close()


def test_the_place_is_the_same_for_every_user_unless_named():
    assert default_directory({"TONNAGE_LOCK_DIR": "/elsewhere"}) == Path("/elsewhere")
    assert default_directory({"TMPDIR": "/mine"}) == default_directory({"TMPDIR": "/yours"})
