"""Bad input, doubts and facts of the static reading, file by file."""

import os
from pathlib import Path

import pytest

from tonnage.lint.model import UNREAD, DeclaredTest, Level
from tonnage.lint.outline import Ignore
from tonnage.lint.outlining import outline_of
from tonnage.lint.project import find_project
from tonnage.lint.read import read_paths
from tonnage.lint.source import Reading

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


@pytest.fixture
def read(tmp_path):
    """Read files that are given as name=text; the root is the directory they lie in."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def _read(files: dict[str, str | bytes]) -> Reading:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_paths([tmp_path], find_project([tmp_path], tmp_path))

    return _read


def the_test(reading: Reading) -> DeclaredTest:
    (test,) = reading.tests
    return test


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"def test_a(:\n", "syntax error"),
        (b"print 'python 2'\n", "syntax error"),
        (b"x = 1\x00\n", "null byte"),
        (b"# coding: no-such-codec\n", "encoding"),
        (b"x = '\xff'\n", "utf-8"),
        (b"x = " + b"(" * 5000 + b")" * 5000 + b"\n", "too "),
    ],
    ids=["syntax", "python2", "null", "codec", "bytes", "nesting"],
)
def test_a_bad_file_is_reported_and_the_others_are_read(read, content, reason):
    reading = read({"test_bad.py": content, "test_good.py": "def test_fine(): pass\n"})
    bad, good = reading.files
    assert reason in bad.problems[0].reason.lower()
    assert bad.problems[0].place.path == "test_bad.py"
    assert not good.problems
    assert the_test(reading).node_id == "test_good.py::test_fine"


def test_a_file_that_cannot_be_opened_is_reported(read, tmp_path):
    (tmp_path / "test_dangling.py").symlink_to(tmp_path / "nowhere")
    reading = read({"test_good.py": "def test_fine(): pass\n"})
    assert [bool(source.problems) for source in reading.files] == [True, False]
    assert "No such file" in reading.files[0].problems[0].reason


def test_a_declared_encoding_is_honoured(read):
    text = "# coding: latin-1\nimport pytest\nx = 'é'; m = pytest.mark.unit\n@m\ndef test_a(): pass"
    (mark,) = the_test(read({"test_a.py": text.encode("latin-1")})).marks
    assert mark.value.name == "unit"


def test_links_that_form_a_loop_end(read, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    reading = read({"sub/test_a.py": "def test_a(): pass\n"})
    assert the_test(reading).node_id == "sub/test_a.py::test_a"


def test_columns_count_characters(read):
    text = "import pytest\nx = {'é': 1}; pytestmark = pytest.mark.unit\ndef test_a(): pass\n"
    (mark,) = the_test(read({"test_a.py": text})).marks
    assert mark.place is not None
    line = text.splitlines()[mark.place.line - 1]
    assert line[mark.place.column - 1 : mark.place.end_column - 1] == "pytest.mark.unit"


def test_marks_come_closest_first_with_their_levels_and_values(read):
    text = """
import pytest
LIMIT = 60
pytestmark = [pytest.mark.unit]
@pytest.mark.gpu_1
class TestX:
    @pytest.mark.timeout(2 * LIMIT if False else 30)
    @pytest.mark.flaky(reruns=2, only_rerun=["a", "b"])
    @pytest.mark.slow
    def test_a(self): pass
"""
    marks = the_test(read({"test_a.py": text})).marks
    assert [(mark.value.name, mark.level) for mark in marks] == [
        ("slow", Level.TEST),
        ("flaky", Level.TEST),
        ("timeout", Level.TEST),
        ("gpu_1", Level.CLASS),
        ("unit", Level.MODULE),
    ]
    assert marks[1].value.kwargs == {"reruns": 2, "only_rerun": ("a", "b")}
    assert marks[2].value.args == (UNREAD,)


@pytest.mark.parametrize(
    "decorator",
    ["@make()", "@other.thing", "@pytest.mark.parametrize('x', cases())", "@MARKS[0]"],
)
def test_what_is_not_known_is_a_reason_and_never_a_mark(read, decorator):
    text = f"""
import pytest, other
def make():
    return getattr(pytest.mark, input())
def cases():
    return [pytest.param(1, marks=marks_of(1))]
MARKS = dict(a=pytest.mark.unit)
{decorator}
def test_a(x=1): pass
"""
    test = the_test(read({"test_a.py": text}))
    assert test.unknown
    assert {mark.value.name for mark in test.marks} <= {"parametrize"}


def test_a_list_of_marks_that_a_function_fills_is_not_the_empty_list_it_began_as(read):
    text = """
import pytest
def made(names):
    marks = []
    for name in names:
        marks.append(getattr(pytest.mark, name))
    return marks
pytestmark = made(["slow"])
def test_a(): pass
"""
    assert the_test(read({"test_a.py": text})).unknown == ("`made` may make marks",)


def test_the_classes_of_unittest_themselves_hold_no_tests(read):
    text = """
from unittest import TestCase, TestLoader
class TestOwn(TestCase):
    def test_a(self): pass
"""
    reading = read({"test_a.py": text})
    assert [test.node_id for test in reading.tests] == ["test_a.py::TestOwn::test_a"]
    assert reading.files[0].unknown == ()


def test_a_mark_under_a_condition_is_possible(read):
    text = """
import os, pytest
pytestmark = pytest.mark.gpu_1 if os.environ.get("X") else []
def test_a(): pass
"""
    test = the_test(read({"test_a.py": text}))
    assert test.marks == ()
    assert [name for name, _ in test.possible] == ["gpu_1"]
    assert test.unknown == ()


def test_a_file_named_otherwise_hides_its_tests(read):
    reading = read({"tests_a.py": "def test_a(): pass\ndef test_b(): pass\n", "helper.py": ""})
    (source,) = reading.files
    assert (source.is_collected, source.hidden_tests) == (False, 2)
    assert reading.tests == ()


def test_ignore_comments_silence_their_line_or_the_next(read):
    text = """
# tonnage: ignore[TNG101, TNG102]

@mark
def test_a(): pass  # tonnage: ignore
text = "# tonnage: ignore[TNG103]"
"""
    assert read({"test_a.py": text}).ignores == {
        "test_a.py": (
            Ignore(4, ("TNG101", "TNG102"), False, (2, 1, 2, 34)),
            Ignore(5, (), False, (5, 21, 5, 38)),
        )
    }


FACTS = """
import os, random, time as t
from time import sleep as nap
import numpy as np
def test_a():
    nap(3)
    while True:
        t.sleep(1)
    os.chdir("x")
    np.random.rand(2)
    random.seed(0)
    os.environ["A"] = "1"
    os.environ.update({"B": "2"}, C=str())
    run(env={"CUDA_VISIBLE_DEVICES": "0"})
    serve(port=8000)
    connect(("localhost", 9000))
    get("http://localhost:9001/x")
    open("/tmp/fixed.txt")
    open(f"/tmp/{os.getpid()}")
    connect(("localhost", 0))
"""


def test_facts_are_found_under_their_full_names():
    facts = outline_of(FACTS.encode()).facts
    assert [(call.name, call.in_loop) for call in facts.calls] == [
        ("time.sleep", False),
        ("time.sleep", True),
        ("os.chdir", False),
        ("numpy.random.rand", False),
        ("random.seed", False),
    ]
    assert [(one.name, one.value, one.is_for_child) for one in facts.environment] == [
        ("A", "1", False),
        ("B", "2", False),
        ("C", None, False),
        ("CUDA_VISIBLE_DEVICES", "0", True),
    ]
    assert [port.port for port in facts.ports] == [8000, 9000, 9001]
    assert [text.value for text in facts.texts] == ["/tmp/fixed.txt"]
    assert {call.function for call in facts.calls} == {("test_a",)}


def test_a_large_file_is_read(read):
    table = "DATA = [" + ", ".join(map(str, range(400_000))) + "]\n"
    reading = read({"test_a.py": table + "def test_a(): pass\n"})
    assert the_test(reading).name == "test_a"


def test_configuration_is_found_as_pytest_finds_it(tmp_path):
    (tmp_path / "setup.cfg").write_text("[tool:pytest]\npython_files = a_*.py\n")
    (tmp_path / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]\npython_functions = 'check it_*'\n"
        "markers = ['a: x', 'b(n): y']\n"
    )
    inner = tmp_path / "inner"
    inner.mkdir()
    project = find_project([inner], Path(os.sep))
    assert (project.root, project.config) == (tmp_path, tmp_path / "pyproject.toml")
    assert project.python_functions == ("check", "it_*")
    assert project.python_files == ("test_*.py", "*_test.py")
    assert project.markers == ("a", "b")
    (tmp_path / "pytest.ini").write_text("")
    assert find_project([inner], inner).python_functions == ("test",)
