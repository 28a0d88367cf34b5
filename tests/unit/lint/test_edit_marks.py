"""Marks are written where they belong, and nothing else in the file changes."""

import ast
import builtins
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.lint.edit_marks import EditorMissingError, MarkChange, MarkText, plan_edits

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def mark(text, comment=""):
    return MarkText(text.partition("(")[0], f"pytest.mark.{text}", comment)


def edit(source, *changes):
    """The new text; that a second run changes nothing is part of every example."""
    result = plan_edits(source, changes)
    assert result.unplaced == ()
    ast.parse(result.source)
    assert plan_edits(result.source, changes).source == result.source
    return result.source


def refused(source, change):
    result = plan_edits(source, [change])
    assert result.source == source
    (unplaced,) = result.unplaced
    return unplaced


FUNCTION = """\
import pytest


# What it is for.
@pytest.mark.pre_merge  # every change
# about the type
@pytest.mark.unit
@other(1,  2)
def test_x( a ):
    return 'as it was'  # here
"""


def test_a_decorator_is_added_in_order_with_its_comment():
    assert edit(FUNCTION, MarkChange(("test_x",), set=(mark("gpu_1", "peak 3 GiB"),))) == (
        FUNCTION.replace("unit\n", "unit\n@pytest.mark.gpu_1  # peak 3 GiB\n")
    )


def test_a_decorator_is_updated_in_place_and_keeps_the_comment_of_others():
    source = FUNCTION.replace("@pytest.mark.unit", "@pytest.mark.timeout(3)  # slow  # peak 1 GiB")
    change = MarkChange(("test_x",), set=(mark("timeout(9)", "peak 2 GiB"),))
    assert edit(source, change) == source.replace("(3)", "(9)").replace("peak 1", "peak 2")


def test_removed_marks_give_their_place_to_new_ones_and_comments_move_along():
    change = MarkChange(
        ("test_x",),
        remove=("pytest.mark.unit", "pytest.mark.pre_merge"),
        add=(mark("unit"), mark("pre_merge")),
    )
    top = "# What it is for.\n"
    assert edit(FUNCTION, change) == (
        FUNCTION.replace(
            top + "@pytest.mark.pre_merge  # every change\n# about the type\n@pytest.mark.unit\n",
            top + "# about the type\n@pytest.mark.unit\n@pytest.mark.pre_merge  # every change\n",
        )
    )


def test_the_lines_above_a_removed_decorator_stay():
    change = MarkChange(("test_x",), remove=("unit",))
    assert edit(FUNCTION, change) == FUNCTION.replace("@pytest.mark.unit\n", "")


@pytest.mark.parametrize(
    ("head", "written"),
    [
        ("import pytest as pt", "@pt.mark.gpu_1"),
        ("from pytest import mark", "@mark.gpu_1"),
        ("from pytest import mark as m", "@m.gpu_1"),
    ],
)
def test_the_file_is_written_in_its_own_words(head, written):
    source = f"{head}\n\n\ndef test_x(): ...\n"
    change = MarkChange(("test_x",), add=(mark("gpu_1"),))
    assert edit(source, change) == source.replace("def", f"{written}\ndef")


def test_an_alias_is_the_mark_that_it_stands_for():
    source = "import pytest\n\nfast = pytest.mark.timeout(3)\n\n\n@fast\ndef test_x(): ...\n"
    assert edit(source, MarkChange(("test_x",), add=(mark("timeout(3)"),))) == source
    assert edit(source, MarkChange(("test_x",), remove=("timeout",))) == source.replace(
        "@fast\n", ""
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def test_x(): ...\n", "import pytest\n\n\n@M\ndef test_x(): ...\n"),
        ('"""Doc."""\n\nX = 1\n', '"""Doc."""\n\nimport pytest\n\nX = 1\n'),
        ("import os\n\nX = 1\n", "import os\n\nimport pytest\n\nX = 1\n"),
        (
            "from __future__ import annotations\n\nimport os\n\nimport torch\n",
            "from __future__ import annotations\n\nimport os\n\nimport pytest\n\nimport torch\n",
        ),
        ("import numpy\n\nX = 1\n", "import numpy\nimport pytest\n\nX = 1\n"),
    ],
)
def test_pytest_is_imported_where_it_is_not(before, after):
    test = "\n\ndef test_x(): ...\n"
    if "test_x" not in before:
        before, after = before + test, after + test.replace("def", "@M\ndef")
    change = MarkChange(("test_x",), add=(mark("gpu_1"),))
    assert edit(before, change) == after.replace("@M", "@pytest.mark.gpu_1")


CLASS = """\
import pytest

class TestX:
    pytestmark = [
        pytest.mark.unit,  # kind
        # the card
        pytest.mark.gpu_1,
    ]

    def test_y(self): ...
"""


def test_pytestmark_of_a_class_keeps_its_layout():
    change = MarkChange(("TestX",), set=(mark("max_vram_gib(3)", "peak 2.6 GiB"), mark("gpu_2")))
    assert edit(CLASS, change, MarkChange(("TestX",), remove=("gpu_1",))) == CLASS.replace(
        "        pytest.mark.gpu_1,\n",
        "        pytest.mark.gpu_2,\n        pytest.mark.max_vram_gib(3),  # peak 2.6 GiB\n",
    )


def test_a_class_without_pytestmark_gets_a_decorator():
    source = "import pytest\n\n\nclass TestX:\n    def test_y(self): ...\n"
    change = MarkChange(("TestX",), add=(mark("unit"),))
    assert edit(source, change) == source.replace("class", "@pytest.mark.unit\nclass")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pytestmark = pytest.mark.unit  # c", "pytestmark = [pytest.mark.unit, M]  # c"),
        ("pytestmark = (pytest.mark.unit,)", "pytestmark = (pytest.mark.unit, M,)"),
        ("pytestmark = [ pytest.mark.unit ]", "pytestmark = [ pytest.mark.unit, M ]"),
        ("pytestmark: list = []", "pytestmark: list = [M]"),
        ("X = 1", "pytestmark = [M]\n\nX = 1"),
    ],
)
def test_marks_of_the_module(before, after):
    head = "import pytest\n\n"
    change = MarkChange((), add=(mark("gpu_1"),))
    assert edit(head + before + "\n", change) == (
        head + after.replace("M", "pytest.mark.gpu_1", 1) + "\n"
    )


CASES = """\
import pytest


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(1, id="small"),
        pytest.param(
            4,
            id="large",  # the big one
        ),
        pytest.param(5, marks=[pytest.mark.gpu_1]),
        7,
    ],
)
def test_x(size): ...
"""


@pytest.mark.parametrize(
    ("case", "before", "after"),
    [
        ("small", 'id="small"', 'id="small", marks=M'),
        ("large", "  # the big one\n", "  # the big one\n            marks=M,\n"),
        ("5", "[pytest.mark.gpu_1]", "[pytest.mark.gpu_1, M]"),
        ("7", " 7,", " pytest.param(7, marks=M),"),
    ],
)
def test_a_single_case_by_its_id(case, before, after):
    change = MarkChange(("test_x",), set=(mark("timeout(9)"),), case=case)
    assert edit(CASES, change) == CASES.replace(
        before, after.replace("M", "pytest.mark.timeout(9)")
    )


def test_values_of_several_arguments_and_listed_ids():
    source = (
        "import pytest\n\n\n"
        '@pytest.mark.parametrize("a, b", [(1, "x"), (2, "y")], ids=["one", "two"])\n'
        "def test_x(a, b): ...\n"
    )
    change = MarkChange(("test_x",), set=(mark("gpu_1"),), case="two")
    assert edit(source, change) == source.replace(
        '(2, "y")', 'pytest.param(2, "y", marks=pytest.mark.gpu_1)'
    )


TABLE = """\
import pytest

CONFIGS = {
    "agg": Config(name="agg", marks=[pytest.mark.gpu_1]),
    "plain": Config(name="plain"),
    "dict": {"id": "dict", "marks": [pytest.mark.gpu_1]},
}
OTHER = {"agg": Config(name="agg", marks=[])}


@pytest.fixture(params=with_marks(CONFIGS))
def config(request): ...


def test_x(config): ...
"""


@pytest.mark.parametrize(
    ("case", "before", "after"),
    [
        ("agg", "[pytest.mark.gpu_1]),", "[pytest.mark.gpu_1, M]),"),
        ("plain", '"plain")', '"plain", marks=M)'),
        ("dict", "[pytest.mark.gpu_1]}", "[pytest.mark.gpu_1, M]}"),
    ],
)
def test_a_case_from_a_table_of_configurations(case, before, after):
    change = MarkChange(("test_x",), set=(mark("vllm"),), case=case)
    assert edit(TABLE, change) == TABLE.replace(before, after.replace("M", "pytest.mark.vllm"))


@pytest.mark.parametrize(
    ("source", "change", "line", "reason"),
    [
        (FUNCTION, MarkChange(("test_z",), add=(mark("unit"),)), 1, "not defined"),
        (FUNCTION * 2, MarkChange(("test_x",), add=(mark("gpu_1"),)), 19, "defined 2 times"),
        (FUNCTION, MarkChange(("test_x",), remove=("pytest.mark.slow",), add=(mark("gpu_1"),)), 9,
         "slow is not written"),
        ("import pytest\npytestmark = [*COMMON]\n", MarkChange((), add=(mark("unit"),)), 2,
         "unpack"),
        ("import pytest\npytestmark = COMMON\n", MarkChange((), add=(mark("unit"),)), 2, "list"),
        ("import pytest\ndef f(:\n", MarkChange((), add=(mark("unit"),)), 2, "parsed"),
        (CASES, MarkChange(("test_x",), set=(mark("unit"),), case="none"), 16, "no case"),
        (
            CASES.replace("def", "@pytest.mark.timeout(1)\ndef"),
            MarkChange(("test_x",), set=(mark("timeout(9)"),), case="small"), 17, "outweighs",
        ),
    ],
)  # fmt: skip
def test_what_has_no_safe_place_is_said_with_its_line(source, change, line, reason):
    unplaced = refused(source, change)
    assert unplaced.line == line
    assert reason in unplaced.reason
    assert unplaced.text == "\n".join(f"@{each.expression}" for each in (*change.set, *change.add))


def test_a_list_that_may_serve_other_tests_is_noted():
    source = "import pytest\n\nSIZES = [1, 2]\n\n\n" + (
        '@pytest.mark.parametrize("size", SIZES)\ndef test_x(size): ...\n'
    )
    result = plan_edits(source, [MarkChange(("test_x",), set=(mark("unit"),), case="2")])
    assert "SIZES = [1, pytest.param(2, marks=pytest.mark.unit)]" in result.source
    assert [(note.line, "SIZES" in note.message) for note in result.notes] == [(3, True)]


def test_a_mark_that_is_only_to_be_updated_is_not_added():
    change = MarkChange((), set=(mark("max_vram_gib(5)"),), in_place=True)
    source = "import pytest\nfrom marks import pytestmark\n\ndef test_x(): ...\n"
    result = plan_edits(source, [change])
    assert result.source == source
    assert result.unplaced[0].reason == "max_vram_gib is not written there"


def test_of_two_changes_of_one_place_the_larger_number_stands():
    source = """import pytest

@pytest.mark.parametrize("x", [pytest.param(1, id="a")])
class TestX:
    @pytest.mark.parametrize("y", [2])
    def test_x(self, x, y): ...
    def test_y(self, x): ...
"""
    marks = [replace(mark(f"max_vram_gib({gib})"), number=gib) for gib in (9, 5)]
    changes = [
        MarkChange(("TestX", name), set=(each,), case="a")
        for name, each in zip(("test_x", "test_y"), marks, strict=True)
    ]
    for order in (changes, changes[::-1]):
        result = plan_edits(source, order)
        assert 'pytest.param(1, id="a", marks=pytest.mark.max_vram_gib(9))' in result.source
        assert result.unplaced == ()
        assert "the cases in TestX may serve other tests too" in result.notes[0].message


def test_without_the_editor_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "libcst":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EditorMissingError, match=r"LibCST") as caught:
        plan_edits(FUNCTION, [])
    assert "tonnage[edit]" in str(caught.value)


# A file from pieces: marks in several spellings, comments, strings, blank lines, line endings.
NAMES = ["pre_merge", "unit", "gpu_1", "slow", "vllm"]
VALUES = st.sampled_from([*NAMES, "timeout(3)", "max_vram_gib(4.5)", "skip(reason='no # way')"])
SPELLINGS = ["{}", "{}  # why", "{}  # peak 1 GiB", "{}\n# above"]
OTHERS = ["@plain", "@pytest.mark.parametrize('x', [1, 2])  # xs", "@a.b(  1 )"]
DECORATORS = st.lists(
    st.one_of(
        st.builds(
            lambda value, spelling: "@pytest.mark." + spelling.format(value),
            VALUES,
            st.sampled_from(SPELLINGS),
        ),
        st.sampled_from(OTHERS),
    ),
    max_size=5,
)
BODIES = st.sampled_from(["x = 'a'  # b", 's = """\n  @pytest.mark.unit\n"""', "pass;  y=1"])


@st.composite
def sources(draw):
    decorators = draw(DECORATORS)
    listed = draw(st.lists(VALUES, max_size=3))
    separator = draw(st.sampled_from([", ", ",\n    ", ",  # c\n    "]))
    head = draw(st.sampled_from(["import pytest\n", '"""D."""\nimport os, pytest  # i\n']))
    lines = [
        head,
        f"pytestmark = [{separator.join('pytest.mark.' + each for each in listed)}]",
        draw(st.sampled_from(["", "# between\n", "\n\n"])),
        *decorators,
        "def test_x(x=1):",
        f"    {draw(BODIES)}",
    ]
    text = "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n# end"]))
    text = draw(st.sampled_from(["", "\ufeff"])) + text
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


MARKS = st.builds(mark, VALUES, st.sampled_from(["", "peak 2 GiB", "3 x 1 s # observed"]))
CHANGES = st.builds(
    lambda target, wanted, gone: MarkChange(
        target, set=tuple({each.name: each for each in wanted}.values()), remove=tuple(gone)
    ),
    st.sampled_from([(), ("test_x",)]),
    st.lists(MARKS, max_size=3),
    st.lists(st.sampled_from(["slow", "integration"]), max_size=1),
)


def split(source, target):
    """The marks of the target as text, and everything else of the file as a syntax tree."""
    tree = ast.parse(source.removeprefix("\ufeff"))
    marks = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and target:
            marks += [ast.unparse(each) for each in node.decorator_list]
            node.decorator_list = []
        elif isinstance(node, ast.Assign) and not target:
            marks += [ast.unparse(each) for each in node.value.elts]
            node.value.elts = []
    return marks, ast.dump(tree)


def name(expression):
    return expression.removeprefix("pytest.mark.").partition("(")[0]


@settings(max_examples=150, deadline=None)
@given(sources(), CHANGES)
def test_the_wanted_marks_stand_there_once_and_all_else_is_as_it_was(source, change):
    result = plan_edits(source, [change])
    assert result.unplaced == ()
    assert plan_edits(result.source, [change]).source == result.source
    old, rest = split(source, change.target)
    new, same = split(result.source, change.target)
    assert same == rest
    wanted = {each.name: ast.unparse(ast.parse(each.expression)) for each in change.set}
    touched = {*wanted, *change.remove}
    assert [each for each in new if name(each) not in touched] == [
        each for each in old if name(each) not in touched
    ]
    assert sorted(each for each in new if name(each) in touched) == sorted(wanted.values())
    assert ("\r\n" in source) == ("\r\n" in result.source)
    assert "\n" not in result.source.replace("\r\n", "") or "\r\n" not in source
    kept = {line for line in source.splitlines() if "mark" not in line}
    assert kept <= set(result.source.splitlines()) | {"@plain"}
