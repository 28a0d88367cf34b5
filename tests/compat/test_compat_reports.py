"""Plugins that write reports of their own: html, json-report, reportlog, allure, sugar."""

import json
import re

import pytest
from tests.compat.beside import OUTCOMES, packed, plain
from tests.packed import load_only, skip_without

pytestmark = [
    pytest.mark.pre_merge,
    pytest.mark.integration,
    pytest.mark.gpu_0,
    pytest.mark.timeout(180),
]


def compared(pytester, read, *args):
    """What `read` finds after a plain run and after a packed one; both must end the same."""
    pytester.makepyfile(test_suite=OUTCOMES)
    expected = plain(pytester, *args)
    before = read(pytester.path)
    result = packed(pytester, "test", *args)
    assert result.ret == expected.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == expected.parseoutcomes()
    return before, read(pytester.path)


def test_pytest_html(pytester, monkeypatch):
    skip_without("pytest_html", "pytest-html")
    load_only(monkeypatch, "metadata", "html", "html_fixtures")
    pytester.makeconftest(
        """
        import pytest, pytest_html
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.extras = [pytest_html.extras.text("added by " + item.name)]
            return report
        """
    )

    def read(path):
        page = (path / "report.html").read_text()
        tests = json.loads(re.search(r'data-jsonblob="([^"]*)"', page)[1].replace("&#34;", '"'))
        return {
            name: [
                (
                    case["result"],
                    [extra["content"] for extra in case["extras"]],
                    [line for line in case["log"].splitlines() if "said by" in line],
                )
                for case in cases
            ]
            for name, cases in tests["tests"].items()
        }

    expected, got = compared(pytester, read, "--html=report.html")
    assert got == expected
    assert any(extras for cases in got.values() for _, extras, _ in cases)


def test_pytest_json_report(pytester, monkeypatch):
    skip_without("pytest_jsonreport", "pytest-json-report")
    load_only(monkeypatch, "metadata", "pytest_jsonreport")

    def read(path):
        report = json.loads((path / "out.json").read_text())
        phases = ("setup", "call", "teardown")
        tests = {
            test["nodeid"]: (
                test["outcome"],
                sorted(test["keywords"]),
                [
                    (test[when]["outcome"], test[when].get("stdout"), test[when].get("stderr"))
                    for when in phases
                    if when in test
                ],
            )
            for test in report["tests"]
        }
        return report["summary"], report["exitcode"], tests

    expected, got = compared(pytester, read, "--json-report", "--json-report-file=out.json")
    assert got[2] == expected[2]
    assert got[0] == expected[0]
    assert got[1] == expected[1]


def test_pytest_reportlog(pytester, monkeypatch):
    skip_without("pytest_reportlog", "pytest-reportlog")
    load_only(monkeypatch, "pytest_reportlog")

    def read(path):
        lines = map(json.loads, (path / "log.jsonl").read_text().splitlines())
        kept = ("$report_type", "nodeid", "when", "outcome", "sections")
        return sorted(
            json.dumps([line.get(name) for name in kept])
            for line in lines
            if line["$report_type"] == "TestReport"
        )

    expected, got = compared(pytester, read, "--report-log=log.jsonl")
    assert got == expected


def test_allure(pytester, monkeypatch):
    skip_without("allure_pytest", "allure-pytest")
    load_only(monkeypatch, "allure_pytest")

    def read(path):
        results = [json.loads(file.read_text()) for file in path.glob("allure/*-result.json")]
        return sorted(
            (
                each["fullName"],
                each["status"],
                each["historyId"],
                sorted(attachment["name"] for attachment in each.get("attachments", [])),
            )
            for each in results
        )

    expected, got = compared(pytester, read, "--alluredir=allure", "--clean-alluredir")
    assert got == expected
    assert len(got) == 9


def test_pytest_sugar(pytester, monkeypatch):
    skip_without("pytest_sugar", "pytest-sugar")
    load_only(monkeypatch, "sugar")

    def read(path):
        return None

    compared(pytester, read)
    # Its bars want the items themselves, one after another.
    result = packed(pytester, "test", "--force-sugar")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "INTERNALERROR" not in result.stdout.str()
