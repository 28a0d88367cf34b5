"""All faults, by the part of a run they strike."""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.fake_nvml import GPU_IS_LOST, NO_PERMISSION, UNKNOWN
from tests.faults.fault import CARD, Fault, Victim, wait_until

# --------------------------------------------------------------------- the test's own process

TEST = "test process"


def in_test_process() -> Iterator[Fault]:
    """A test harms its own process."""
    crashes = {
        "segfault": ("reads address 0", "ctypes.string_at(0)", "died of SIGSEGV"),
        "abort": ("aborts", "os.abort()", "died of SIGABRT"),
        "kill": ("kills its process", "os.kill(os.getpid(), 9)", "died of SIGKILL"),
        "exit": ("leaves with status 0", "os._exit(0)", "exited with status 0"),
        "floating-point": ("dies of a bus error", "os.kill(os.getpid(), 7)", "died of SIGBUS"),
    }
    for name, (what, body, says) in crashes.items():
        yield Fault(
            name,
            TEST,
            f"a test {what}",
            f"that test crashed, with the reason: {says}",
            f"""
            @cpu
            def test_it(): {body}
            @cpu
            def test_next(): pass
            """,
            {"test_it": "failure", "test_next": "passed"},
            (says,),
        )
    yield Fault(
        "exit-in-setup",
        TEST,
        "a fixture leaves the process while it is set up",
        "an error of the test's setup",
        """
        @pytest.fixture
        def broken(): os._exit(3)
        @cpu
        def test_it(broken): pass
        """,
        {"test_it": "error"},
        ("exited with status 3",),
    )
    yield Fault(
        "exit-in-teardown",
        TEST,
        "a finaliser leaves the process",
        "the test passed, and its teardown is an error",
        """
        @pytest.fixture
        def broken():
            yield
            os._exit(3)
        @cpu
        def test_it(broken): pass
        """,
        {"test_it": "error"},
        ("test_it PASSED", "exited with status 3"),
    )
    yield Fault(
        "crash-in-a-batch",
        TEST,
        "the second of three tests that share a process crashes",
        "its fixtures are torn down, the third test runs in a new process",
        """
        @pytest.fixture(scope="module")
        def shared():
            yield
            with open("torn-down", "a") as file: file.write("x")
        @cpu
        def test_a(shared): pass
        @cpu
        def test_b(shared): os.abort()
        @cpu
        def test_c(shared): assert Path("torn-down").read_text() == "x"
        """,
        {"test_a": "passed", "test_b": "failure", "test_c": "passed"},
        ("the fixtures it shared were torn down",),
        args=("--isolation", "module"),
    )
    yield Fault(
        "hang-in-c",
        TEST,
        "a test loops in C, where no Python signal handler gets a turn",
        "timeout, with its stack; ended from outside",
        """
        @cpu
        @limit
        def test_it(): sum(itertools.repeat(0))
        """,
        {"test_it": "failure"},
        ("timeout: ran longer than its declared 0.4 s, did not stop", "in test_it"),
    )
    yield Fault(
        "ignores-signals",
        TEST,
        "a test ignores TERM and its own deadline, in a loop",
        "timeout; killed after the grace",
        """
        @cpu
        @limit
        def test_it():
            for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            while True: time.sleep(0.05)
        """,
        {"test_it": "failure"},
        ("did not stop, and was ended",),
    )
    yield Fault(
        "stops-itself",
        TEST,
        "a test stops its process with SIGSTOP",
        "timeout; killed after the grace",
        """
        @cpu
        @limit
        def test_it(): os.kill(os.getpid(), signal.SIGSTOP)
        """,
        {"test_it": "failure"},
        ("did not stop, and was ended",),
    )
    yield Fault(
        "hang-in-setup",
        TEST,
        "a fixture never returns",
        "timeout in setup, with its stack",
        """
        @pytest.fixture
        def slow(): time.sleep(1000)
        @cpu
        @limit
        def test_it(slow): pass
        """,
        {"test_it": "error"},
        ("ran longer than its declared 0.4 s",),
    )
    yield Fault(
        "hang-in-a-thread",
        TEST,
        "a test leaves a thread that never ends",
        "the test passes; its process ends without waiting",
        """
        @cpu
        def test_it(): threading.Thread(target=time.sleep, args=(1000,)).start()
        """,
        {"test_it": "passed"},
        args=("--isolation", "test"),
    )
    yield Fault(
        "double-fork",
        TEST,
        "a test starts a daemon: double fork, new session",
        "the test passes; the daemon is ended and named",
        """
        @cpu
        def test_it():
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.execvp("sleep", ["sleep", "1000"])
                os._exit(0)
            os.wait()
        """,
        {"test_it": "passed"},
        ("left processes behind, now ended", "sleep 1000"),
        args=("--isolation", "test"),
    )
    yield Fault(
        "holds-the-output",
        TEST,
        "a process that a test has detached keeps its stdout open",
        "the run does not wait for it; it is ended and named",
        """
        @cpu
        def test_it(): subprocess.Popen(["sleep", "1000"], start_new_session=True)
        """,
        {"test_it": "passed"},
        ("left processes behind, now ended",),
        args=("--isolation", "test"),
    )
    yield Fault(
        "fork-storm",
        TEST,
        "a test forks processes that fork: 4 that fork 4 that fork 4",
        "ended with all of them at its deadline",
        """
        @cpu
        @limit
        def test_it():
            for _ in range(3):
                for _ in range(4):
                    if os.fork() == 0: break  # one level down
                else:
                    break
            time.sleep(1000)
        """,
        {"test_it": "failure"},
        ("ran longer than its declared 0.4 s",),
    )
    yield Fault(
        "no-more-processes",
        TEST,
        "a test is refused any further process",
        "that test failed",
        """
        @cpu
        def test_it(monkeypatch):
            import resource
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
            os.setuid(65534)
            subprocess.run(["true"])
        """,
        {"test_it": "failure"},
        ("Resource temporarily unavailable",),
        args=("--isolation", "test"),
    )
    yield Fault(
        "returns-twice",
        TEST,
        "a test forks, and parent and child both return from it",
        "one result, of the parent",
        """
        @cpu
        def test_it():
            if os.fork(): os.wait()
        """,
        {"test_it": "passed"},
    )
    yield Fault(
        "closes-everything",
        TEST,
        "a test closes every file descriptor, that of its reports too",
        "that test crashed",
        """
        @cpu
        def test_it(): os.closerange(3, 4096)
        """,
        {"test_it": "failure"},
        ("crashed:",),
        args=("--isolation", "test"),
    )
    yield Fault(
        "closes-its-output",
        TEST,
        "a test closes stdout and stderr",
        "the test passes",
        """
        @cpu
        def test_it():
            os.close(1); os.close(2)
        """,
        {"test_it": "passed"},
        args=("--isolation", "test"),
    )
    yield Fault(
        "removes-its-directory",
        TEST,
        "a test changes into a directory and removes it",
        "the test passes; the next one starts where it should",
        """
        @cpu
        def test_a(tmp_path):
            (tmp_path / "x").mkdir(); os.chdir(tmp_path / "x"); (tmp_path / "x").rmdir()
        @cpu
        def test_b(): assert Path.cwd() == HERE
        """,
        {"test_a": "passed", "test_b": "passed"},
        args=("--slots", "1"),
    )
    yield Fault(
        "breaks-the-library",
        TEST,
        "a test replaces socket.socket.sendall and does not put it back",
        "that test crashed, no other",
        """
        @cpu
        def test_it():
            import socket
            socket.socket.sendall = None
        """,
        {"test_it": "failure"},
        ("crashed:",),
        args=("--isolation", "test"),
    )
    yield Fault(
        "clears-the-environment",
        TEST,
        "a test empties os.environ",
        "the test passes",
        """
        @cpu
        def test_it(): os.environ.clear()
        """,
        {"test_it": "passed"},
    )
    yield Fault(
        "odd-exception",
        TEST,
        "a test raises an exception whose text is not valid Unicode and whose repr fails",
        "that test failed",
        """
        class Odd(Exception):
            def __str__(self): return "\\udcff bad"
            def __repr__(self): raise RuntimeError("no repr")
        @cpu
        def test_it(): raise Odd
        """,
        {"test_it": "failure"},
    )
    yield Fault(
        "no-memory",
        TEST,
        "a test limits its address space and asks for more",
        "that test failed with a MemoryError",
        """
        @cpu
        def test_it():
            import resource
            resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))
            bytearray(1 << 33)
        """,
        {"test_it": "failure"},
        ("MemoryError",),
        args=("--isolation", "test"),
    )
    yield Fault(
        "left-on-the-card",
        TEST,
        "a process that a test has detached keeps GPU memory",
        "the process is ended and named; the memory is back for the next test",
        """
        @gpu
        def test_a():
            if os.fork() == 0:
                os.setsid()
                memory = simgpu.allocate(20)
                (HERE / "taken").touch()
                time.sleep(1000)
            while not (HERE / "taken").exists(): time.sleep(0.01)
        @pytest.mark.max_vram_gib(22)
        def test_b():
            with simgpu.allocate(22): pass
        """,
        {"test_a": "passed", "test_b": "passed"},
        ("left processes behind, now ended",),
    )


# --------------------------------------------------------------------- output

OUTPUT = "output"


def in_output() -> Iterator[Fault]:
    """A test writes what no terminal or file wants."""
    outputs = {
        "much-output": ("prints 50 MB", "print('x' * 50_000_000)"),
        "fast-output": (
            "prints 20,000 lines as fast as it can",
            "[print('line', n) for n in range(20_000)]",
        ),
        "raw-bytes": (
            "writes bytes that are no UTF-8, and NULs",
            "os.write(1, bytes(range(256)) * 10)",
        ),
        "escape-codes": (
            "writes terminal control sequences",
            "print('\\x1b[2J\\x1b]0;title\\x07\\x1b[31m')",
        ),
        "one-long-line": ("writes a line of 5 MB", "sys.stderr.write('y' * 5_000_000)"),
    }
    for name, (what, body) in outputs.items():
        yield Fault(
            name,
            OUTPUT,
            f"a failing test {what}",
            "that test failed, its output shown, shortened where it is too long",
            f"""
            @cpu
            def test_it():
                {body}
                assert 0
            """,
            {"test_it": "failure"},
        )
    yield Fault(
        "output-then-crash",
        OUTPUT,
        "a test prints 10 MB and its process is killed",
        "crashed, with the last lines",
        """
        @cpu
        def test_it():
            for _ in range(1000): os.write(1, b"z" * 10_000)
            os.write(1, b"\\nthe last line\\n")
            os.kill(os.getpid(), 9)
        """,
        {"test_it": "failure"},
        ("the last line", "died of SIGKILL"),
    )


# --------------------------------------------------------------------- collection

COLLECTION = "collection"


def in_collection() -> Iterator[Fault]:
    """A test file harms the process that collects."""
    for name, what, body in (
        ("import-exits", "leaves the process", "os._exit(7)"),
        ("import-segfaults", "segfaults", "ctypes.string_at(0)"),
    ):
        yield Fault(
            name,
            COLLECTION,
            f"a test file {what} while it is imported",
            "a collection error of that file; with --continue-on-collection-errors the rest runs",
            body,
            {},
            ("while importing this file",),
            args=("--continue-on-collection-errors", "--junitxml=other.xml"),
            bystanders=False,
        )
    yield Fault(
        "import-starts-a-thread",
        COLLECTION,
        "a test file starts a thread while it is imported",
        "its tests run in new interpreters, and the file is named",
        """
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        @cpu
        def test_it(): pass
        """,
        {"test_it": "passed"},
        ("2 threads are running, so forking is unsafe",),
    )
    yield Fault(
        "import-takes-the-gpu",
        COLLECTION,
        "a test file uses the GPU while it is imported",
        "its tests run in new interpreters, and the file is named",
        """
        memory = simgpu.allocate(1)
        @gpu
        def test_it(): pass
        """,
        {"test_it": "passed"},
        ("a simulated GPU is in use, so forking is unsafe",),
    )


# --------------------------------------------------------------------- zygote and controller

ZYGOTE, CONTROLLER = "zygote", "controller"
WAITS = """
@cpu
def test_waits():
    (HERE / "running").touch()
    while not (HERE / "go").exists(): time.sleep(0.01)
"""


def go(victim: Victim) -> None:
    """Let the waiting test end."""
    (victim.directory / "go").touch()


def in_zygote() -> Iterator[Fault]:
    """The process that starts the tests is harmed."""

    def killed(victim: Victim) -> None:
        victim.wait_for("running")
        victim.signal_zygote(signal.SIGKILL)
        victim.read_until("test_waits FAILED")
        go(victim)

    yield Fault(
        "zygote-killed",
        ZYGOTE,
        "the zygote is killed",
        "what ran is lost and says so; a new zygote runs the rest",
        WAITS,
        {"test_waits": "failure"},
        ("lost: the process that starts the tests is gone", "a new one collects again"),
        args=("--isolation", "test", "--slots", "1"),
        inject=killed,
    )

    def killed_each_time(victim: Victim) -> None:
        seen = set()
        while victim.process.poll() is None:
            zygote = victim.zygote()
            if zygote is not None and zygote not in seen:
                seen.add(zygote)
                os.kill(zygote, signal.SIGKILL)
            wait_until(lambda: victim.zygote() not in seen or victim.process.poll() is not None)

    yield Fault(
        "zygote-killed-each-time",
        ZYGOTE,
        "every zygote is killed as soon as it is there",
        "the run ends with an error that says so",
        WAITS,
        {},
        ("died of SIGKILL",),
        status=3,
        args=("--junitxml=other.xml",),
        inject=killed_each_time,
        bystanders=False,
    )

    def stuck(victim: Victim) -> None:
        victim.wait_for("running")
        victim.signal_zygote(signal.SIGSTOP)
        victim.process.send_signal(signal.SIGTERM)

    yield Fault(
        "zygote-stuck",
        ZYGOTE,
        "the zygote is stopped, then the run is asked to end",
        "the zygote is killed, the run ends as asked",
        WAITS,
        {},
        ("ended by SIGTERM",),
        status=128 + 15,
        inject=stuck,
        bystanders=False,
    )


def in_controller() -> Iterator[Fault]:
    """The run as a whole is asked to end, or killed."""

    def sending(*numbers: int):
        def inject(victim: Victim) -> None:
            victim.wait_for("running")
            for number in numbers:
                victim.process.send_signal(number)

        return inject

    for number in (signal.SIGTERM, signal.SIGHUP):
        yield Fault(
            f"controller-{number.name.lower()}",
            CONTROLLER,
            f"the run gets {number.name}",
            "everything ends; what was known is reported",
            WAITS,
            {},
            (f"ended by {number.name}",),
            status=128 + number,
            inject=sending(number),
            bystanders=False,
        )
    yield Fault(
        "controller-interrupted",
        CONTROLLER,
        "Ctrl-C once, while a test runs that takes longer than the grace",
        "the test is ended after the grace; what was known is reported",
        WAITS,
        {},
        ("KeyboardInterrupt",),
        status=2,
        inject=sending(signal.SIGINT),
        bystanders=False,
    )

    def twice(victim: Victim) -> None:
        victim.wait_for("running")
        victim.process.send_signal(signal.SIGINT)
        # Two signals in one go would count as one.
        wait_until(lambda: not _is_pending(victim.process.pid, signal.SIGINT))
        victim.process.send_signal(signal.SIGINT)

    yield Fault(
        "controller-interrupted-twice",
        CONTROLLER,
        "Ctrl-C twice",
        "everything ends at once; what was known is reported",
        WAITS,
        {},
        ("KeyboardInterrupt",),
        status=2,
        inject=twice,
        bystanders=False,
    )
    yield Fault(
        "controller-killed",
        CONTROLLER,
        "the run's own process is killed",
        "every process and directory of the run is gone a moment later",
        WAITS,
        {},
        status=-9,
        inject=sending(signal.SIGKILL),
        bystanders=False,
    )

    def killed_early(victim: Victim) -> None:
        wait_until(lambda: victim.zygote() is not None or victim.process.poll() is not None)
        victim.process.kill()

    yield Fault(
        "controller-killed-early",
        CONTROLLER,
        "the run's own process is killed while tests are collected",
        "every process is gone a moment later; its directories go with the next run",
        WAITS,
        {},
        status=-9,
        inject=killed_early,
        bystanders=False,
        next_run_cleans=True,
    )

    def killed_together(victim: Victim) -> None:
        victim.wait_for("running")
        victim.process.send_signal(signal.SIGSTOP)  # so that it cannot clean up in between
        victim.signal_zygote(signal.SIGKILL)
        victim.process.kill()

    yield Fault(
        "controller-and-zygote-killed",
        CONTROLLER,
        "the run's own process and the one that starts the tests are killed in the same instant, "
        "while a process in a session of its own, without any environment, is in the background",
        "where cgroups can be written, the next run ends that process and says so",
        """
        @cpu
        def test_waits():
            shell = f"(sleep 600; : {os.environ['MARK']}) &"
            subprocess.run(["/bin/sh", "-c", shell], env={}, start_new_session=True)
            (HERE / "running").touch()
            time.sleep(600)
        """,
        {},
        status=-9,
        inject=killed_together,
        bystanders=False,
        next_run_cleans=True,
        needs_cgroups=True,
    )

    def closed(victim: Victim) -> None:
        victim.wait_for("running")
        assert victim.process.stdout is not None
        victim.process.stdout.close()
        victim.process.stdout = None
        go(victim)
        victim.process.wait()

    yield Fault(
        "output-closed",
        CONTROLLER,
        "the reader of the run's output goes away (as in `| head`)",
        "the run ends, and everything with it",
        WAITS,
        {},
        status=1,
        inject=closed,
        args=("--junitxml=other.xml",),
        bystanders=False,
    )


def _is_pending(pid: int, number: int) -> bool:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("ShdPnd:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


# --------------------------------------------------------------------- devices

DEVICES = "devices"
WAITS_ON_GPU = WAITS.replace("@cpu", "@gpu")


def in_devices() -> Iterator[Fault]:
    """Readings of the GPUs fail, or lie."""

    def answering(*errors: tuple[str, int]):
        def inject(victim: Victim) -> None:
            victim.wait_for("running")
            for function, code in errors:
                victim.nvml.error(0, function, code)
            go(victim)

        return inject

    memory, processes = "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetComputeRunningProcesses"
    for name, what, errors in (
        ("nvml-error", "NVML answers every reading with an error", ((memory, UNKNOWN),)),
        (
            "gpu-lost",
            "the GPU is lost",
            ((memory, GPU_IS_LOST), (processes, GPU_IS_LOST), ("nvmlDeviceGetUUID", GPU_IS_LOST)),
        ),
        ("no-permission", "the list of processes is refused", ((processes, NO_PERMISSION),)),
    ):
        yield Fault(
            f"{name}-in-the-middle",
            DEVICES,
            f"{what}, in the middle of a run",
            "readings are unknown from then on; the tests go on",
            WAITS_ON_GPU,
            {"test_waits": "passed"},
            inject=answering(*errors),
            nvml=True,
        )

    def frozen(victim: Victim) -> None:
        victim.wait_for("running")
        victim.nvml.clear()
        victim.nvml.gpu(CARD, 24 * 1024, used_mib=2048)
        go(victim)

    yield Fault(
        "memory-that-stays",
        DEVICES,
        "the card goes on showing memory in use after a test's last process is gone",
        "it is named with its test, and stays off the card",
        WAITS_ON_GPU,
        {"test_waits": "passed"},
        ("GPU memory that did not come back", "test_waits left 2.0 GiB on GPU 0"),
        args=("test_victim.py",),
        inject=frozen,
        nvml=True,
        bystanders=False,
        status=0,
    )

    def no_ledger(victim: Victim) -> None:
        victim.wait_for("running")
        for directory in victim.scratch.glob("tonnage-sim-*"):
            shutil.rmtree(directory)
        go(victim)

    yield Fault(
        "simulated-cards-removed",
        DEVICES,
        "the directory of the simulated cards is removed",
        "readings are unknown from then on; tests that take memory fail with the reason",
        WAITS_ON_GPU + "    simgpu.allocate(1)\n",
        {"test_waits": "failure"},
        ("the ledger of simulated GPUs",),
        args=("test_victim.py",),
        inject=no_ledger,
        bystanders=False,
    )


# --------------------------------------------------------------------- disk, limits, clock

MACHINE = "machine"
PASSES = """
@cpu
def test_it(tmp_path): (tmp_path / "x").write_text("x")
"""


def in_machine() -> Iterator[Fault]:
    """The machine gives less than usual."""
    passes = {"test_it": "passed"}

    def removed(victim: Victim) -> None:
        victim.wait_for("running")
        for directory in victim.scratch.glob("tonnage-run-*"):
            shutil.rmtree(directory)
        go(victim)

    yield Fault(
        "run-directory-removed",
        MACHINE,
        "somebody cleans the temporary directory of the run while it runs",
        "it is made anew; the tests go on",
        WAITS,
        {"test_waits": "passed"},
        inject=removed,
        args=("--isolation", "test", "--slots", "1"),
    )
    yield Fault(
        "cache-cannot-be-written",
        MACHINE,
        "pytest's cache directory cannot be made",
        "pytest's own warning",
        PASSES,
        passes,
        prepare=lambda directory: _file(directory / ".pytest_cache"),
    )
    yield Fault(
        "journal-disk-full",
        MACHINE,
        "the disk is full where the run is recorded",
        "a note says that the run is not recorded any further; nothing else changes",
        PASSES,
        passes,
        ("note: the run is not recorded",),
        wrap=lambda _: _mounted("mkdir .tonnage && mount -t tmpfs -o size=8k none .tonnage"),
        needs_mounts=True,
    )
    yield Fault(
        "journal-no-directory",
        MACHINE,
        "the directory of recorded runs cannot be made",
        "a note says that the run is not recorded; nothing else changes",
        PASSES,
        passes,
        ("note: the run is not recorded",),
        prepare=lambda directory: _file(directory / ".tonnage"),
    )
    yield Fault(
        "few-descriptors",
        MACHINE,
        "a process may have 48 open files",
        "the tests run",
        PASSES,
        passes,
        limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48)),
    )
    yield Fault(
        "no-shared-memory",
        MACHINE,
        "there is no /dev/shm",
        "the tests run",
        PASSES,
        passes,
        wrap=lambda _: _mounted("umount /dev/shm"),
        needs_mounts=True,
    )
    yield Fault(
        "read-only-project",
        MACHINE,
        "the project's directory is read-only",
        "the tests run; what cannot be written there is said",
        PASSES,
        passes,
        args=("--junitxml=scratch/out.xml", "-p", "no:cacheprovider"),
        wrap=lambda _: _mounted(
            "mount --bind . . && mount --bind scratch scratch && mount --bind scratch ./scratch "
            "&& mount -o remount,bind,ro . && cd ."
        ),
        needs_mounts=True,
    )
    yield Fault(
        "clock-jumps",
        MACHINE,
        "the wall clock jumps an hour back and forth at every look",
        "the tests run; times are measured by another clock",
        PASSES,
        passes,
        prepare=_jumping_clock,
    )


def _file(path: Path) -> dict[str, str]:
    """Make it a file, where a directory is wanted."""
    path.write_text("")
    return {}


def _mounted(command: str) -> list[str]:
    """Run what follows with other mounts, which go with it."""
    return ["unshare", "-m", "sh", "-c", f'{command} && exec "$@"', "sh"]


_CLOCK = """
#define _GNU_SOURCE
#include <time.h>
#include <sys/syscall.h>
#include <unistd.h>
static int looks;
int clock_gettime(clockid_t id, struct timespec *ts) {
  int result = syscall(SYS_clock_gettime, id, ts);
  if (id == CLOCK_REALTIME && looks++ % 2) ts->tv_sec -= 3600;
  return result;
}
"""


def _jumping_clock(directory: Path) -> dict[str, str]:
    source, library = directory / "clock.c", directory / "clock.so"
    source.write_text(_CLOCK)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    return {"LD_PRELOAD": str(library)}


FAULTS: tuple[Fault, ...] = (
    *in_test_process(),
    *in_output(),
    *in_collection(),
    *in_zygote(),
    *in_controller(),
    *in_devices(),
    *in_machine(),
)
