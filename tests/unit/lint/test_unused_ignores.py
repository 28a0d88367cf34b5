"""Ignore comments: which silence nothing, where that cannot be said, and taking them away."""

from dataclasses import asdict
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.config import LintSettings, Settings
from tonnage.lint.check import check, judge, selected_rules, without_used
from tonnage.lint.context import context_of
from tonnage.lint.fix import plan_fixes, write_fixes
from tonnage.lint.format_json import as_data, finding_from
from tonnage.lint.ignore_text import without
from tonnage.lint.project import Project
from tonnage.lint.read import read_paths

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

NAME = "tests/test_cache_flow.py"
HEAD = "import pytest\nfrom elsewhere import computed\n"
MARKED = "@pytest.mark.pre_merge\n@pytest.mark.unit\n@pytest.mark.gpu_0\n"


@pytest.fixture
def suite(tmp_path):
    """Writes files and gives all findings about them."""

    def write(texts, lint=None, durations_s=None):
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        settings = Settings(lint=lint or LintSettings())
        context = context_of(settings, today=date(2026, 1, 1), durations_s=durations_s)
        reading = read_paths([tmp_path], Project(tmp_path))
        return check(reading, context, selected_rules(settings.lint))

    write.root = tmp_path
    return write


def unused(findings):
    return [(each.place.line, each.message) for each in findings if each.code == "TNG902"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{MARKED}def test_a(): ...  # tonnage: ignore[TNG101]\n", "of TNG101 "),
        (f"# tonnage: ignore[TNG101]\n{MARKED}def test_a(): ...\n", "of TNG101 "),
        ("def test_a(): ...  # tonnage: ignore[TNG101, TNG102, TNG103]\n", None),
        ("def test_a(): ...  # tonnage: ignore\n", None),
        (f"{MARKED}def test_a(): ...  # tonnage: ignore [TNG101]\n", "of TNG101 "),
        (f"{MARKED}def test_a(): ...  # tonnage: ignore\n", None),  # TNG203 cannot judge
        (f"{MARKED}def test_a(): ...  # tonnage: ignore[TNG101, TNG902]\n", None),
        (f"{MARKED}def test_a(): ...  # tonnage: ignore[TNG203]\n", None),  # no history
        (f"{MARKED}def test_a(): ...  # tonnage: ignore[TNG107]\n", None),  # no largest card
        ("@computed()\ndef test_a(): ...  # tonnage: ignore[TNG101]\n", None),
        ("PORT = 8000  # tonnage: ignore[TNG101]\n", "of TNG101 "),
        # Perhaps another file inherits it.
        ("class Base:\n    def test_a(self): ...  # tonnage: ignore[TNG101]\n", None),
        ("globals()['x'] = 1\nx = 1  # tonnage: ignore[TNG302]\n", None),
    ],
)
def test_a_comment_is_unused_where_that_is_certain(suite, text, found):
    expected = [] if found is None else [f"this ignore {found}silences nothing"]
    assert [message for _, message in unused(suite({NAME: HEAD + text}))] == expected


def test_a_comment_without_codes_is_unused_where_all_rules_can_judge(suite):
    card = LintSettings(largest_card_gib=80.0)
    text = f"{HEAD}{MARKED}def test_a(): ...  # tonnage: ignore\n"
    known = {f"{NAME}::test_a": 1.0}
    assert unused(suite({NAME: text}, card, known)) == [(6, "this ignore silences nothing")]
    assert unused(suite({NAME: text}, card, {f"{NAME}::test_b": 1.0})) == []
    assert unused(suite({NAME: text}, durations_s=known)) == []
    narrow = LintSettings(largest_card_gib=80.0, ignore=("TNG4",))
    assert unused(suite({NAME: text}, narrow, known)) == []


def test_a_code_of_a_rule_that_was_not_checked_is_left_alone(suite):
    text = f"{HEAD}{MARKED}def test_a(): ...  # tonnage: ignore[TNG101]\n"
    assert unused(suite({NAME: text}, LintSettings(ignore=("TNG101",)))) == []
    assert unused(suite({NAME: text}, LintSettings(ignore=("TNG902",)))) == []


def test_a_code_of_no_rule_is_told_and_left_to_its_author(suite):
    (found,) = suite({NAME: f"{HEAD}{MARKED}def test_a(): ...  # tonnage: ignore[TNG1010]\n"})
    assert (found.message, found.unused) == ("there is no rule TNG1010 to ignore", None)
    assert found.remedy == 'did you mean "TNG110"?'


BASE = "class Base:\n    def test_a(self): ...  # tonnage: ignore[TNG101, TNG102, TNG103]\n"
LEAF = "from test_base_flow import Base\nclass TestLeaf(Base): ...\n"


def test_a_comment_of_a_base_class_speaks_for_the_tests_that_others_inherit(suite):
    texts = {"tests/test_base_flow.py": BASE, "tests/test_leaf_flow.py": LEAF}
    assert suite(texts) == ()


def test_a_comment_that_another_share_needs_is_not_unused(suite):
    base = "import pytest\npytestmark = pytest.mark.pre_merge\nclass TestBase:\n"
    texts = {
        "tests/test_base_flow.py": f"{base}    def test_a(self): ...  # tonnage: ignore[TNG101]\n",
        "tests/test_leaf_flow.py": "from test_base_flow import TestBase as Base\n"
        "class TestLeaf(Base): ...\n",
    }
    only = LintSettings(select=("TNG101", "TNG902"))
    assert suite(texts, only) == ()
    root = suite.root
    context = context_of(Settings(lint=only), today=date(2026, 1, 1))
    shares = []
    for name in texts:
        reading = read_paths([root / name], Project(root))
        shares.append(judge(reading, context, selected_rules(only)))
    (alone,) = shares[0].findings
    assert alone.message == "this ignore of TNG101 silences nothing"
    assert (shares[0].used_elsewhere, shares[1].findings) == ((), ())
    assert without_used([alone], shares[1].used_elsewhere) == []


def test_a_finding_about_a_comment_comes_back_from_its_data(suite):
    (found,) = suite({NAME: f"{HEAD}{MARKED}def test_a(): ...  # tonnage: ignore[TNG101]\n"})
    assert found.unused is not None
    assert finding_from(as_data(found)) == found
    assert asdict(found.unused) == {"path": NAME, "line": 6, "column": 20, "code": "TNG101"}


@pytest.mark.parametrize(
    ("line", "code", "left"),
    [
        ("x = 1  # tonnage: ignore[TNG101]", "TNG101", "x = 1"),
        ("x = 1  # tonnage: ignore[TNG101, TNG102]", "TNG101", "x = 1  # tonnage: ignore[TNG102]"),
        ("x = 1  # tonnage: ignore", "", "x = 1"),
        ("x = 1  #tonnage:ignore [ TNG101,TNG102 ]", "TNG101", "x = 1  # tonnage: ignore[TNG102]"),
        ("# tonnage: ignore[TNG101]", "TNG101", ""),
        ("    # tonnage: ignore[TNG101] why", "TNG101", "    # why"),
        ("x = 1  # noqa  # tonnage: ignore[TNG101]", "TNG101", "x = 1  # noqa"),
        ("x = 1  # tonnage: ignore[TNG101]  # noqa", "TNG101", "x = 1  # noqa"),
        ("x = 1  # tonnage: ignore[TNG101] why", "TNG101", "x = 1  # why"),
        ("x = 1  # tonnage: ignore[TNG101]", "TNG102", None),
        ("x = 1  # nothing", "TNG101", None),
    ],
)
def test_taking_a_code_away_leaves_the_rest_of_the_line(line, code, left):
    column = max(line.find("#tonnage"), line.find("# tonnage"), 0) + 1
    assert without(line, column, code) == left


@given(
    st.lists(st.sampled_from(["TNG101", "TNG102", "TNG103", "TNG203"]), unique=True, max_size=4),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
)
def test_fixing_takes_away_all_that_is_unused_and_nothing_else(tmp_path_factory, codes, end, mark):
    root = tmp_path_factory.mktemp("suite")
    file = root / NAME
    file.parent.mkdir()
    comment = f"# tonnage: ignore[{', '.join(codes)}]"
    lines = [*HEAD.split("\n")[:-1], "# é", comment, *MARKED.split("\n")[:-1]]
    lines += [f"def test_a(): ...  {comment} # é", ""]
    file.write_bytes((mark + end.join(lines)).encode())
    settings = Settings()
    context = context_of(settings, today=date(2026, 1, 1))

    def outcome():
        findings = check(read_paths([root], Project(root)), context, selected_rules(settings.lint))
        return plan_fixes(findings, root)

    if codes:
        write_fixes(outcome())
    assert outcome().files == ()
    kept = "TNG203" in codes or not codes
    left = f"# tonnage: ignore[{'TNG203' if codes else ''}]"
    expected = [line.replace(comment, left) for line in lines]
    if not kept:
        expected = [line.replace(f"{left} ", "") for line in expected if line != left]
    assert file.read_bytes().decode() == mark + end.join(expected)
