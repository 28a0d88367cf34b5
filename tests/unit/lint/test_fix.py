"""Fixes are made whole or not at all, once, and files stay as they are in all else."""

import ast
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.config import Settings
from tonnage.lint.check import check, selected_rules
from tonnage.lint.context import context_of
from tonnage.lint.fix import difference, fixes, plan_fixes, write_fixes
from tonnage.lint.model import Edit, Finding, Place
from tonnage.lint.project import Project
from tonnage.lint.read import read_paths
from tonnage.lint.source_files import SourceFileError, read_source, write_source

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

SOURCE = """\
import pytest


@pytest.mark.unit
@pytest.mark.pre_merge
def test_x(): ...


class TestY:
    def test_z(self): ...
"""
UNIT, PRE_MERGE, GPU_0 = (f"pytest.mark.{name}" for name in ("unit", "pre_merge", "gpu_0"))


def finding(*edits, code="TNG000"):
    return Finding(code, "", Place("test_x.py", 1), edits=edits)


def edit(*target, remove=(), add=(), path="test_x.py", safe=True):
    return Edit(path, target, tuple(remove), tuple(add), safe)


def planned(*findings, **options):
    return fixes(findings, {"test_x.py": SOURCE, "test_b.py": SOURCE}, **options)


def test_marks_that_are_added_to_one_test_go_together():
    added = [finding(edit("TestY", "test_z", add=[each])) for each in (GPU_0, UNIT, PRE_MERGE)]
    plan = planned(*added)
    assert plan.fixed == tuple(added)
    assert plan.texts["test_x.py"] == SOURCE.replace(
        "    def",
        f"    @{PRE_MERGE}\n    @{UNIT}\n    @{GPU_0}\n    def",
    )


def test_the_same_edit_of_many_findings_is_made_once():
    same = [finding(edit("TestY", add=[UNIT])) for _ in range(3)]
    plan = planned(*same)
    assert plan.fixed == tuple(same)
    assert plan.texts["test_x.py"] == SOURCE.replace("class", f"@{UNIT}\nclass")


def test_one_that_changes_the_same_mark_waits():
    order = finding(edit("test_x", remove=[UNIT, PRE_MERGE], add=[PRE_MERGE, UNIT]))
    rename = finding(edit("test_x", remove=[UNIT], add=["pytest.mark.integration"]))
    added = finding(edit("test_x", add=[GPU_0]))
    plan = planned(order, rename, added)
    assert plan.fixed == (order, added)
    assert plan.waiting == (rename,)
    assert plan.texts["test_x.py"] == SOURCE.replace(
        f"@{UNIT}\n@{PRE_MERGE}\n", f"@{PRE_MERGE}\n@{UNIT}\n@{GPU_0}\n"
    )


def test_the_edits_of_a_finding_are_made_all_or_none():
    half = finding(
        edit("test_x", add=[GPU_0]), edit("test_x", remove=["pytest.mark.slow"], path="test_b.py")
    )
    whole = finding(edit("TestY", add=[UNIT]))
    plan = planned(half, whole)
    assert list(plan.texts) == ["test_x.py"]
    assert GPU_0 not in plan.texts["test_x.py"]
    assert plan.fixed == (whole,)
    (unfixed,) = plan.unplaced
    assert (unfixed.finding, unfixed.line) == (half, 6)
    assert "there already" in unfixed.reason


def test_what_is_written_in_another_way_is_not_taken_for_fixed():
    twice = finding(edit("test_x", remove=[UNIT], add=[UNIT]))
    plan = planned(twice)
    assert (plan.texts, plan.fixed) == ({}, ())
    assert [(each.finding, each.line) for each in plan.unplaced] == [(twice, 6)]


def test_what_may_change_a_test_is_asked_for():
    risky = finding(edit("test_x", remove=[UNIT], safe=False))
    assert planned(risky).texts == {}
    assert planned(risky).unsafe == (risky,)
    plan = planned(risky, unsafe=True)
    assert (plan.fixed, plan.unsafe) == ((risky,), ())
    assert plan.texts["test_x.py"] == SOURCE.replace(f"@{UNIT}\n", "")


def test_files_are_shown_and_then_written(tmp_path):
    file = tmp_path / "test_x.py"
    file.write_text(SOURCE)
    outcome = plan_fixes([finding(edit("TestY", add=[UNIT]))], tmp_path)
    assert file.read_text() == SOURCE
    shown = difference(outcome, lambda path: f"here/{path}")
    assert shown.startswith("--- a/here/test_x.py\n+++ b/here/test_x.py\n@@ ")
    assert f"\n+@{UNIT}\n class TestY:\n" in shown
    write_fixes(outcome)
    assert file.read_text() == SOURCE.replace("class", f"@{UNIT}\nclass")
    assert [each.name for each in tmp_path.iterdir()] == ["test_x.py"]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfx = 1\r\ny = 'z'\r\n",
        "# -*- coding: latin-1 -*-\nx = 'é'\r\n".encode("latin-1"),
        "x = 'é'\r".encode(),
        b"",
    ],
)
def test_bytes_that_are_not_changed_stay(tmp_path, data):
    file, link = tmp_path / "a.py", tmp_path / "link.py"
    file.write_bytes(data)
    file.chmod(0o754)
    link.symlink_to("a.py")
    source = read_source(link)
    write_source(link, source, source.text + "# end")
    assert file.read_bytes() == data + b"# end"
    assert file.stat().st_mode & 0o777 == 0o754
    assert link.is_symlink()


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path):
    file = tmp_path / "a.py"
    with pytest.raises(SourceFileError, match="cannot be read") as caught:
        read_source(file)
    assert caught.value.where == str(file)
    file.write_bytes(b"x = '\xff'\n")
    with pytest.raises(SourceFileError, match="cannot be decoded"):
        read_source(file)
    file.write_bytes(b"# coding: latin-1\n")
    source = read_source(file)
    with pytest.raises(SourceFileError, match="cannot hold '€'"):
        write_source(file, source, "# coding: latin-1\n# €\n")
    file.write_bytes(b"# somebody else\n")
    with pytest.raises(SourceFileError, match="changed by somebody else"):
        write_source(file, source, "x = 2\n")
    assert file.read_bytes() == b"# somebody else\n"


# Whatever the rules find in such files, fixing comes to an end and nothing but marks has changed.
MARKS = st.sampled_from(
    [
        "@pytest.mark.pre_merge",
        "@pytest.mark.unit  # why",
        "@pytest.mark.unit",
        "@pytest.mark.gpu_0",
        "@pytest.mark.timeout(2*30)",
        "@pytest.mark.timeout( 60 )",
        "@pytest.mark.xfail(reason='''flaky''')  # T-1",
        '@pytest.mark.xfail(strict=True, reason="flaky, it\'s")',
        "@pytest.mark.parametrize('x', [1,\n    2])",
        "# above\n@pytest.mark.gpu_0",
    ]
)
TESTS = st.builds(
    lambda marks, index: "\n".join([*marks, f"def test_{index}(x = 'a'):", "    pass;  y=1  # b"]),
    st.lists(MARKS, max_size=5),
    st.integers(0, 99),
)
FILES = st.builds(
    lambda start, head, listed, tests, end: (start + "\n".join([head, listed, *tests])).replace(
        "\n", end
    ),
    st.sampled_from(["", "\ufeff"]),
    st.sampled_from(["import pytest", '"""D."""\nimport os, pytest  # i']),
    st.sampled_from(
        ["", "pytestmark = pytest.mark.unit  # u", "pytestmark = [pytest.mark.gpu_0,]"]
    ),
    st.lists(TESTS, max_size=3, unique_by=lambda test: test.partition("def ")[2]),
    st.sampled_from(["\n", "\r\n"]),
)


def without_marks(text):
    tree = ast.parse(text.removeprefix("\ufeff"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = [
                each for each in node.decorator_list if "parametrize" in ast.unparse(each)
            ]
    tree.body = [node for node in tree.body if "pytestmark" not in ast.unparse(node)[:10]]
    return ast.dump(tree)


@settings(max_examples=40, deadline=None)
@given(FILES)
def test_fixing_ends_and_then_changes_nothing(tmp_path_factory, text):
    root = tmp_path_factory.mktemp("suite")
    file = root / "tests" / "unit" / "test_core_flow.py"
    file.parent.mkdir(parents=True)
    file.write_bytes(text.encode())
    options = Settings()
    context = context_of(options, today=date(2026, 1, 1))
    rules = selected_rules(options.lint)

    def outcome():
        found = check(read_paths([root], Project(root)), context, rules)
        return plan_fixes(found, root, unsafe=True)

    rounds = 0
    while (planned := outcome()).fixed:
        assert planned.files
        write_fixes(planned)
        rounds += 1
        assert rounds <= 5
    assert not planned.files
    assert not planned.waiting
    after = file.read_bytes().decode()
    assert without_marks(after) == without_marks(text)
    assert after.startswith("\ufeff") == text.startswith("\ufeff")
    assert after.count("\r\n") == (after.count("\n") if "\r\n" in text else 0)
