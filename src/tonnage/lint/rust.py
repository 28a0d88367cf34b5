"""Rust tests, read with tree-sitter: is an integration test gated, does an ignored one say why.

tree-sitter comes with the extra `rust` and is imported only where a crate with tests is found.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tonnage.errors import TonnageError
from tonnage.lint.check import finding_of, in_order
from tonnage.lint.context import Context
from tonnage.lint.elsewhere import Elsewhere, RustFile, is_silenced, shown
from tonnage.lint.model import Finding, Place
from tonnage.lint.rule import Found, Rule
from tonnage.lint.rules.rust import IGNORED, UNGATED
from tonnage.units import plural

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

_FEATURE = re.compile(r'\bfeature\s*=\s*"integration"')
_TEST_ATTRIBUTES = frozenset(("test", "rstest", "test_case", "quickcheck", "proptest"))
_COMMENTS = ("line_comment", "block_comment")


class RustReaderMissingError(TonnageError):
    """Rust tests are there to be checked, and the package that reads them is not."""


def check_rust(
    elsewhere: Elsewhere, root: Path, context: Context, selected: Iterable[Rule]
) -> tuple[Finding, ...]:
    """The findings in the Rust files of these crates.

    Raises RustReaderMissingError where there are such files and the extra is not installed.
    """
    rules = {rule.code for rule in selected} & {UNGATED.code, IGNORED.code}
    if not rules or not elsewhere.rust:
        return ()
    parser = _parser()
    findings: list[Finding] = []
    for file in elsewhere.rust:
        try:
            source = file.path.read_bytes()
        except OSError:
            continue
        if b"test" not in source and b"ignore" not in source:
            continue
        tree = parser.parse(source)
        lines = source.decode("utf-8", "replace").splitlines()
        where = shown(file.path, root)
        found: list[tuple[Rule, Found]] = []
        if UNGATED.code in rules and _is_target(file) and not _is_gated(file):
            found += [(UNGATED, each) for each in _ungated(tree.root_node, where)]
        if IGNORED.code in rules:
            found += [(IGNORED, each) for each in _ignored(tree.root_node, where)]
        findings += [
            finding_of(rule, each, context, None)
            for rule, each in found
            if each.place and not is_silenced(lines, each.place.line, rule.code)
        ]
    return in_order(findings)


def _is_target(file: RustFile) -> bool:
    """Whether Cargo makes an integration test of this file, not of the one that includes it."""
    inside = file.path.relative_to(file.crate).parts
    return inside[0] == "tests" and (
        len(inside) == 2 or (len(inside) == 3 and inside[2] == "main.rs")
    )


def _is_gated(file: RustFile) -> bool:
    """Whether Cargo.toml asks for the feature before this file is compiled."""
    try:
        document = tomllib.loads((file.crate / "Cargo.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False
    tests = document.get("test", [])
    path = file.path.relative_to(file.crate)
    name = path.parent.name if path.name == "main.rs" else path.stem
    return any(
        isinstance(test, dict)
        and (test.get("name") == name or test.get("path") == path.as_posix())
        and "integration" in test.get("required-features", [])
        for test in (tests if isinstance(tests, list) else [])
    )


def _parser() -> Any:
    try:
        import tree_sitter_rust
        from tree_sitter import Language, Parser
    except ImportError as error:
        raise RustReaderMissingError(
            "Rust tests are not checked: reading them needs the extra `rust`",
            where="tonnage lint",
            remedy="Install tonnage[rust], or leave the rules out with `--ignore TNG6`.",
        ) from error
    return Parser(Language(tree_sitter_rust.language()))


def _ungated(root: Any, path: str) -> Iterator[Found]:
    """One finding for all tests of a file that are compiled without the feature."""
    tests = list(_tests_without_gate(root))
    if tests:
        first = next(child for child in tests[0].children if child.type == "identifier")
        yield Found(
            f"{plural(len(tests), 'integration test')} not behind the `integration` feature",
            _place(path, first),
            'Write #![cfg(feature = "integration")] at the top of the file.',
        )


def _tests_without_gate(node: Any) -> Iterator[Any]:
    attributes: list[Any] = []
    for child in node.children:
        if child.type == "inner_attribute_item" and _is_gate(child):
            return
        if child.type == "attribute_item":
            attributes.append(child)
            continue
        if child.type in _COMMENTS:
            continue
        if not any(map(_is_gate, attributes)):
            if child.type == "function_item" and any(map(_is_test, attributes)):
                yield child
            elif child.type == "mod_item":
                body = child.child_by_field_name("body")
                if body is not None:
                    yield from _tests_without_gate(body)
        attributes = []


def _is_gate(attribute: Any) -> bool:
    text = attribute.text.decode("utf-8", "replace")
    return "cfg" in text and _FEATURE.search(text) is not None


def _is_test(attribute: Any) -> bool:
    return _name(attribute).rpartition("::")[2] in _TEST_ATTRIBUTES


def _ignored(node: Any, path: str) -> Iterator[Found]:
    """Each `#[ignore]` that neither gives a reason nor has a comment beside it."""
    children = node.children
    for at, child in enumerate(children):
        if child.type == "attribute_item" and child.text.replace(b" ", b"") == b"#[ignore]":
            if not _has_comment(children, at):
                yield Found(
                    "ignored without a reason",
                    _place(path, child),
                    'Say why in a comment, or write #[ignore = "why"].',
                )
        elif child.type in ("mod_item", "declaration_list"):
            yield from _ignored(child, path)


def _has_comment(siblings: Any, at: int) -> bool:
    """Whether a comment stands before, among or behind the attributes of the same item."""
    start = at
    while start > 0 and siblings[start - 1].type in ("attribute_item", *_COMMENTS):
        start -= 1
    end = at
    while end + 1 < len(siblings) and siblings[end + 1].type in ("attribute_item", *_COMMENTS):
        end += 1
    previous = siblings[start - 1].end_point[0] if start > 0 else -1
    comments = [each for each in siblings[start : end + 1] if each.type in _COMMENTS]
    # A comment on the line where the item before ends belongs to that item.
    return any(each.start_point[0] != previous for each in comments)


def _name(attribute: Any) -> str:
    """`tokio::test` of `#[tokio::test(flavor = "multi_thread")]`."""
    text = attribute.text.decode("utf-8", "replace")
    match = re.match(r"#\s*\[\s*([\w:]+)", text)
    return match[1] if match else ""


def _place(path: str, node: Any) -> Place:
    (line, column), (end_line, end_column) = node.start_point, node.end_point
    return Place(path, line + 1, column + 1, end_line + 1, end_column + 1)
