"""JUnit XML: each file with findings is a suite, each finding a failed case."""

import re
import xml.etree.ElementTree as ET
from itertools import groupby

from tonnage.lint.model import Finding
from tonnage.lint.result import LintResult

# What XML 1.0 cannot say at all.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: LintResult) -> str:
    """The findings as a document; a run without any has one case that passed."""
    by_file = [
        (path, list(findings))
        for path, findings in groupby(result.findings, key=lambda finding: finding.place.path)
    ]
    total = str(len(result.findings))
    top = ET.Element("testsuites", name="tonnage lint", tests=total, failures=total, errors="0")
    for path, findings in by_file:
        count = str(len(findings))
        suite = ET.SubElement(
            top, "testsuite", name=_clean(path), tests=count, failures=count, errors="0"
        )
        for finding in findings:
            _add_case(suite, finding)
    if not by_file:
        top.set("tests", "1")
        suite = ET.SubElement(
            top, "testsuite", name="tonnage lint", tests="1", failures="0", errors="0"
        )
        ET.SubElement(suite, "testcase", classname="tonnage", name="lint")
    ET.indent(top)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(top, encoding="unicode")}\n'


def _add_case(suite: ET.Element, finding: Finding) -> None:
    place = finding.place
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_clean(place.path),
        name=_clean(f"{finding.code}:{place.line}:{place.column}"),
        file=_clean(place.path),
        line=str(place.line),
    )
    failure = ET.SubElement(
        case, "failure", type=finding.severity.value, message=_clean(finding.message)
    )
    about = [f"{place.path}:{place.line}:{place.column}: {finding.code} {finding.message}"]
    about += [text for text in (finding.test, finding.remedy) if text]
    failure.text = _clean("\n".join(about))


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
