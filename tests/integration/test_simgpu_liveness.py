"""Whether a process lives, asked of real ones."""

import os

import pytest

from tonnage.devices.liveness import Process, Watch, process_start

pytestmark = [pytest.mark.pre_merge, pytest.mark.integration, pytest.mark.gpu_0]


@pytest.fixture
def child():
    """A child process that lives until its pipe is closed: (itself, a way to end it).

    Ended, it stays a zombie until the test is over.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    line = os.fdopen(writing, "wb")  # unlike a bare descriptor, it can be closed twice

    def end():
        line.close()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return pid

    yield Process(pid, process_start(pid)), end
    line.close()
    os.waitpid(pid, 0)


@pytest.fixture(params=["descriptors", "no descriptors"])
def kernel(request, monkeypatch):
    """With and without the kernel's process descriptors."""
    if request.param == "no descriptors":
        monkeypatch.delattr(os, "pidfd_open", raising=False)


def test_this_process_has_a_start_and_an_impossible_one_has_none():
    assert process_start(os.getpid())
    assert process_start(2**22 + 1) is None


def test_a_zombie_has_no_start(child):
    _, end = child
    assert process_start(end()) is None


@pytest.mark.usefixtures("kernel")
def test_a_watch_sees_an_end(child):
    process, end = child
    watch = Watch([process])
    assert watch.ended() == set()
    end()
    assert watch.ended() == {process}
    assert watch.ended() == {process}


@pytest.mark.usefixtures("kernel")
def test_a_watch_that_begins_after_the_end_knows_it(child):
    process, end = child
    end()
    assert Watch([process]).ended() == {process}


@pytest.mark.usefixtures("kernel")
def test_another_process_of_the_same_pid_is_not_the_one():
    started = process_start(os.getpid())
    me, earlier = Process(os.getpid(), started), Process(os.getpid(), started - 1)
    assert Watch([me, earlier]).ended() == {earlier}
