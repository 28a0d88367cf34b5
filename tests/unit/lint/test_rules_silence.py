"""When rules are silent, what else they weigh, and what a fix of theirs would do."""

import textwrap
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.config import LintSettings, Settings, VocabularySettings
from tonnage.errors import ConfigError
from tonnage.lint.check import check, check_tests, selected_rules, unknown_reasons
from tonnage.lint.context import context_of
from tonnage.lint.globs import matches
from tonnage.lint.model import UNREAD, Case, DeclaredTest, Edit, Level, Place, PlacedMark, Severity
from tonnage.lint.project import Project
from tonnage.lint.read import read_paths
from tonnage.lint.rules import RULES
from tonnage.markers.marks import MarkValue

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

TODAY = date(2026, 1, 1)
COMPLETE = "@pytest.mark.pre_merge\n@pytest.mark.unit\n@pytest.mark.gpu_0\n"


@pytest.fixture
def codes(tmp_path):
    """The codes found in the text of a file, with the given settings."""

    def run(text, name="tests/test_cache_flow.py", durations_s=None, **settings):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"import os, time, random\nimport pytest\n{textwrap.dedent(text)}")
        whole = Settings(**settings)
        reading = read_paths([tmp_path], Project(tmp_path))
        context = context_of(whole, today=TODAY, durations_s=durations_s)
        found = check(reading, context, selected_rules(whole.lint))
        return [each.code for each in found]

    return run


def declared(*marks: tuple[MarkValue, Level], **fields) -> DeclaredTest:
    placed = tuple(PlacedMark(value, level) for value, level in marks)
    place = Place("tests/test_a_b.py", 9)
    return DeclaredTest("tests/test_a_b.py::test_x", place, "test_x", marks=placed, **fields)


def found_in(test: DeclaredTest, **settings) -> list:
    whole = Settings(**settings)
    return list(check_tests([test], context_of(whole, today=TODAY), selected_rules(whole.lint)))


def test_a_test_that_says_all_breaks_no_rule(codes):
    assert codes(f"{COMPLETE}def test_tables(): ...\n") == []


def test_with_the_minimal_preset_nothing_is_required(codes):
    assert codes("def test_tables(): ...\n", preset="minimal") == []


def test_needs_gpus_is_a_hardware_declaration(codes):
    text = (
        "@pytest.mark.pre_merge\n@pytest.mark.unit\n@pytest.mark.needs(gpus=0)\ndef test_a(): ..."
    )
    assert codes(text) == []


def test_a_test_with_unknown_marks_lacks_nothing_but_contradictions_are_told():
    gpus = [(MarkValue("gpu_1"), Level.TEST), (MarkValue("gpu_2"), Level.TEST)]
    test = declared(*gpus, unknown=("a hook adds marks",))
    assert [found.code for found in found_in(test)] == ["TNG104"]
    assert ("TNG101", "a hook adds marks") in unknown_reasons(test, RULES)
    assert {found.code for found in found_in(declared(*gpus))} > {"TNG101", "TNG104"}


def test_a_mark_that_is_possible_is_not_missing():
    test = declared((MarkValue("unit"), Level.TEST), possible=(("nightly", "a condition"),))
    assert [found.code for found in found_in(test)] == ["TNG103"]


def test_a_case_may_bring_what_the_test_lacks_and_contradict_it():
    def case(name):
        return Case((PlacedMark(MarkValue(name), Level.CASE),))

    marks = [(MarkValue(name), Level.TEST) for name in ("pre_merge", "unit")]
    assert found_in(declared(*marks, cases=(case("gpu_0"),))) == []
    both = declared(*marks, (MarkValue("gpu_0"), Level.TEST), cases=(case("gpu_0"), case("gpu_2")))
    assert "TNG104" in [found.code for found in found_in(both)]


def test_what_cannot_be_read_is_no_wrong_argument():
    names = ("pre_merge", "e2e", "gpu_1")
    marks = [(MarkValue(name), Level.TEST) for name in names]
    marks.append((MarkValue("max_vram_gib", (UNREAD,)), Level.TEST))
    marks.append((MarkValue("timeout", (UNREAD,)), Level.TEST))
    marks.append((MarkValue("needs", (), {"cpus": UNREAD, "group": "a"}), Level.TEST))
    assert found_in(declared(*marks)) == []


@pytest.mark.parametrize(
    "comment_at", ["def", "decorator", "above"], ids=["on the def", "on a decorator", "above"]
)
@pytest.mark.parametrize(
    ("comment", "silences"), [("[TNG102]", True), ("", True), ("[TNG1]", False)]
)
def test_a_comment_silences_a_rule(codes, comment_at, comment, silences):
    note = f"# tonnage: ignore{comment}"
    text = "@pytest.mark.pre_merge{}\n{}@pytest.mark.gpu_0\ndef test_a(): ...{}\n"
    places = {"decorator": (f"  {note}", "", ""), "above": ("", f"{note}\n", "")}
    places["def"] = ("", "", f"  {note}")
    # A code that is none silences nothing, and is told.
    expected = [] if silences else ["TNG102", "TNG902"]
    assert sorted(codes(text.format(*places[comment_at]))) == expected


def test_a_comment_silences_a_finding_in_the_file_on_its_line(codes):
    text = COMPLETE + "@pytest.mark.parallel\ndef test_a():\n    os.chdir('/'){}\n"
    assert codes(text.format("")) == ["TNG304"]
    assert codes(text.format("  # tonnage: ignore[TNG304]")) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["TNG101", "TNG102", "TNG103"]),
        ({"select": ("TNG102", "TNG103")}, ["TNG102", "TNG103"]),
        ({"ignore": ("TNG1",)}, []),
        ({"select": ("TNG1",), "ignore": ("TNG103",)}, ["TNG101", "TNG102"]),
    ],
)
def test_rules_are_chosen_by_how_their_codes_begin(codes, changes, expected):
    assert codes("def test_a(): ...\n", lint=LintSettings(**changes)) == expected


@pytest.mark.parametrize("key", ["select", "ignore"])
def test_a_code_of_no_rule_is_a_mistake_with_a_suggestion(key):
    with pytest.raises(ConfigError, match='there is no rule "TNG199"') as caught:
        selected_rules(LintSettings(**{key: ("TNG199",)}))
    assert caught.value.where == f"[tool.tonnage.lint] {key}"
    assert caught.value.remedy == 'did you mean "TNG109"?'


def test_the_weight_of_a_rule_can_be_changed():
    (found,) = found_in(
        declared((MarkValue("unit"), Level.TEST), (MarkValue("gpu_0"), Level.TEST)),
        lint=LintSettings(severity={"TNG101": "info"}),
    )
    assert found.severity is Severity.INFO


def test_a_place_may_imply_the_missing_marker(tmp_path):
    path = tmp_path / "tests/unit/test_cache_flow.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import pytest\n@pytest.mark.pre_merge\nclass TestA:\n    def test_x(self): ..."
    )
    settings = Settings(
        lint=LintSettings(implied={"tests/unit/**": ("unit",), "**::TestA": ("gpu_0",)})
    )
    reading = read_paths([tmp_path], Project(tmp_path))
    found = check(reading, context_of(settings, today=TODAY), selected_rules(settings.lint))
    target = ("TestA", "test_x")
    assert [each.edits for each in found] == [
        (Edit("tests/unit/test_cache_flow.py", target, add=("pytest.mark.unit",)),),
        (Edit("tests/unit/test_cache_flow.py", target, add=("pytest.mark.gpu_0",)),),
    ]


def test_an_xfail_whose_strictness_would_change_is_not_fixed_safely():
    xfail = MarkValue("xfail", (), {"reason": "flaky: GPU-1"})
    test = declared((xfail, Level.TEST))
    for strict_by_default in (False, True):
        settings = Settings(lint=LintSettings(select=("TNG402",)))
        context = context_of(settings, today=TODAY, xfail_strict=strict_by_default)
        (found,) = check_tests([test], context, selected_rules(settings.lint))
        (edit,) = found.edits
        assert edit.remove == ('pytest.mark.xfail(reason="flaky: GPU-1")',)
        assert edit.add == ('pytest.mark.xfail(reason="flaky: GPU-1", strict=False)',)
        assert edit.safe is not strict_by_default


@pytest.mark.parametrize(
    ("seconds", "is_told"), [(40, True), (60, False), (120, False), (180, False), (400, True)]
)
def test_a_timeout_is_compared_with_what_the_test_took(codes, seconds, is_told):
    text = f"{COMPLETE}@pytest.mark.timeout({seconds})\ndef test_a(): ..."
    history = {"tests/test_cache_flow.py::test_a": 40.0}
    budgets = LintSettings(timeout_budgets_s={})
    assert codes(text, durations_s=history, lint=budgets) == (["TNG203"] if is_told else [])
    assert codes(text, lint=budgets) == []


def test_a_budget_is_that_of_the_earliest_lifecycle(codes):
    text = (
        "@pytest.mark.pre_merge\n@pytest.mark.nightly\n@pytest.mark.timeout(100)\ndef test_a(): ..."
    )
    only = ("TNG2",)
    assert codes(text, lint=LintSettings(select=only)) == []
    tight = LintSettings(select=only, timeout_budgets_s={"pre_merge": 60.0})
    assert codes(text, lint=tight) == ["TNG202"]


@pytest.mark.parametrize(
    "text",
    [
        "@pytest.mark.parallel\ndef test_a(monkeypatch): monkeypatch.setenv('A', '1')",
        "@pytest.mark.parallel\ndef test_a(): run(env={'A': '1'})",
        "def test_a(): os.environ['A'] = '1'",
        "def test_a(): os.environ['CUDA_VISIBLE_DEVICES'] = ''",
        "def test_a(): os.environ['CUDA_VISIBLE_DEVICES'] = mask()",
        # Somebody else's: the parallel test does not use it, as far as is known.
        "def start(): run(port=8000)\n@pytest.mark.parallel\ndef test_a(): ...\ndef test_b(): ...",
        "def test_a():\n    while not ready():\n        time.sleep(5)",
        "def test_a():\n    time.sleep(0.5)",
        "def helper():\n    time.sleep(5)\ndef test_a(): ...",
        # A seeded generator of Hypothesis, say, and not the module.
        "def test_a(random): random.shuffle([1, 2])",
        "def test_a():\n    random.seed(1)\n    random.random()",
        "@pytest.fixture(autouse=True)\ndef seed(): random.seed(1)\ndef test_a(): random.random()",
        "def test_a():\n    random.Random(3).random()",
        "@pytest.mark.skip(reason='needs a flake8 plugin')\ndef test_a(): ...",
        "@pytest.mark.xfail(reason='flaky: https://x.org/1', strict=False)\ndef test_a(): ...",
        "@pytest.mark.flaky(reruns=2, only_rerun=['AssertionError'])\ndef test_a(): ...",
        "@pytest.mark.quarantine(ticket='A-1', until='2026-01-01')\ndef test_a(): ...",
        "@pytest.mark.asyncio\n@pytest.mark.usefixtures('a')\ndef test_a(): ...",
    ],
)
def test_no_false_alarm(codes, text):
    assert codes(text, lint=LintSettings(ignore=("TNG10",))) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("@pytest.mark.parallel\ndef test_a(): bind(('localhost', 8000))", "TNG302"),
        ("pytestmark = pytest.mark.parallel\nPORT = 8000\ndef test_a(): run(PORT)", "TNG302"),
        ("@pytest.mark.parallel\ndef test_a(): os.environ.pop('A')", "TNG305"),
        ("def test_a(): run(env={'CUDA_VISIBLE_DEVICES': '1'})", "TNG306"),
        ("@pytest.mark.skip('Flaky on CI')\ndef test_a(): ...", "TNG401"),
        ("@pytest.mark.quarantine(until='2027-01-01')\ndef test_a(): ...", "TNG401"),
        ("@pytest.mark.quarantine(ticket='A-1', until='soon')\ndef test_a(): ...", "TNG403"),
        ("@pytest.mark.flaky(reruns=2)\ndef test_a(): ...", "TNG404"),
        ("@pytest.mark.flaky(reruns=2, only_rerun='Connection.*')\ndef test_a(): ...", "TNG404"),
        ("from time import sleep as wait\ndef test_a(): wait(5)", "TNG405"),
        ("def test_a():\n    random.Random().random()", "TNG406"),
    ],
)
def test_told(codes, text, code):
    assert codes(text, lint=LintSettings(select=(code,))) == [code]


def test_a_renamed_marker_is_known_by_its_new_name_alone(codes):
    renamed = VocabularySettings(rename={"parallel": "beside"})
    only = LintSettings(select=("TNG114", "TNG301"))
    text = "@pytest.mark.{}\n@pytest.mark.gpu_1\ndef test_a(): ..."
    assert codes(text.format("beside"), vocabulary_changes=renamed, lint=only) == ["TNG301"]
    assert codes(text.format("parallel"), vocabulary_changes=renamed, lint=only) == ["TNG114"]


def test_a_marker_under_its_old_name_is_not_missing_besides(codes):
    renamed = VocabularySettings(rename={"gpu_1": "one_gpu"})
    implied = LintSettings(select=("TNG10", "TNG114"), implied={"**": ("gpu_0",)})
    text = "@pytest.mark.pre_merge\n@pytest.mark.unit\n@pytest.mark.gpu_1\ndef test_a(): ..."
    assert codes(text, vocabulary_changes=renamed, lint=implied) == ["TNG114"]


MARKS = st.sampled_from(
    [
        MarkValue("gpu_0"),
        MarkValue("gpu_1"),
        MarkValue("max_vram_gib", (4,)),
        MarkValue("max_vram_gib", (1,)),
        MarkValue("max_vram_gib", (True,)),
        MarkValue("pre_merge"),
        MarkValue("unit"),
        MarkValue("e2e"),
        MarkValue("parallel"),
        MarkValue("timeout", (5000,)),
        MarkValue("flaky", (), {"reruns": 1, "only_rerun": ["OOM", "memory"]}),
        MarkValue("unheard_of"),
    ]
)
SETS = st.lists(MARKS, max_size=4)


@given(st.lists(SETS, max_size=6))
def test_tests_looked_at_together_are_told_what_each_is_told_alone(sets):
    """Most of a file's tests have equal marks, and are looked at once: nothing may come of it."""
    context = context_of(Settings(), today=TODAY)
    tests = [
        DeclaredTest(
            f"tests/test_a_b.py::test_{number}",
            Place("tests/test_a_b.py", number + 1),
            f"test_{number}",
            marks=tuple(PlacedMark(value, Level.TEST) for value in marks),
        )
        for number, marks in enumerate(sets)
    ]
    together = check_tests(tests, context, RULES)
    alone = [found for test in tests for found in check_tests([test], context, RULES)]
    assert list(together) == alone


@pytest.mark.parametrize(
    ("path", "glob", "is_match"),
    [
        ("tests/a/test_x.py", "tests/**", True),
        ("tests/test_x.py", "tests/**", True),
        ("src/tests/test_x.py", "tests/**", False),
        ("src/a/b/tests/test_x.py", "src/**/tests/**", True),
        ("src/tests/test_x.py", "src/**/tests/**", True),
        ("src/a/tests/test_x.py", "src/*/tests/*.py", True),
        ("src/a/b/tests/test_x.py", "src/*/tests/*.py", False),
        ("tests/router/test_x.py", "tests/{router,planner}/**", True),
        ("tests/other/test_x.py", "tests/{router,planner}/**", False),
        ("tests/test_x.py", "tests/test_[!a-c].py", True),
        ("tests/test_b.py", "tests/test_[!a-c].py", False),
        ("a+b/test_x.py", "a+b/?est_x.py", True),
    ],
)
def test_globs(path, glob, is_match):
    assert matches(path, [glob]) is is_match


@pytest.mark.parametrize(
    ("conftest", "known"),
    [
        ('config.addinivalue_line("markers", "gpu_farm: needs it")', {"gpu_farm"}),
        (
            "config.addinivalue_line(\n        'markers', r'gpu_farm(size): needs it'\n    )",
            {"gpu_farm"},
        ),
        (
            'for line in ["gpu_farm: needs it", "cold(n): starts cold"]:\n'
            '        config.addinivalue_line("markers", line)',
            {"gpu_farm", "cold"},
        ),
        (
            'for name in ("gpu_farm", "cold"):\n'
            '        config.addinivalue_line("markers", f"{name}: is one")',
            {"gpu_farm", "cold"},
        ),
        ('config.addinivalue_line("filterwarnings", "gpu_farm: x")', set()),
        ("pass", set()),
    ],
)
def test_a_marker_that_a_conftest_registers_is_known(tmp_path, codes, conftest, known):
    (tmp_path / "conftest.py").write_text(f"def pytest_configure(config):\n    {conftest}\n")
    text = "@pytest.mark.gpu_farm\n@pytest.mark.cold\ndef test_a(): ..."
    found = codes(text, lint=LintSettings(select=("TNG108",)))
    assert len(found) == 2 - len(known)


def test_without_components_in_the_vocabulary_a_file_may_be_called_as_it_likes(codes):
    name, text = "tests/test_all.py", "def test_a(): ..."
    only = {"select": ("TNG501",)}
    assert codes(text, name=name, lint=LintSettings(**only)) == ["TNG501"]
    assert codes(text, name=name, preset="minimal", lint=LintSettings(**only)) == []
    named = LintSettings(**only, file_names=("test_*_*.py",))
    assert codes(text, name=name, preset="minimal", lint=named) == ["TNG501"]
