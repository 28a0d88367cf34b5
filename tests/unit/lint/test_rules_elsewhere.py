"""Rust tests and launch scripts."""

import sys
from datetime import date

import pytest

from tonnage.config import Settings
from tonnage.lint.check import selected_rules
from tonnage.lint.context import context_of
from tonnage.lint.elsewhere import find_elsewhere
from tonnage.lint.rules import RULES
from tonnage.lint.rust import RustReaderMissingError, check_rust
from tonnage.lint.scripts import check_scripts

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

CONTEXT = context_of(Settings(), today=date(2026, 1, 1))


def rust(directory, **files):
    """The findings in a crate of these files, as (code, path, line)."""
    (directory / "Cargo.toml").write_text(files.pop("manifest", '[package]\nname = "a"\n'))
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("_rs", ".rs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = check_rust(find_elsewhere([directory], directory), directory, CONTEXT, RULES)
    return [(each.code, each.place.path, each.place.line) for each in found]


TEST = "#[tokio::test]\nasync fn lease() {}\n"


@pytest.mark.parametrize(
    "text",
    [
        f'#![cfg(feature = "integration")]\n{TEST}',
        f'#![cfg(all(unix, feature = "integration"))]\n\n{TEST}',
        f'#[cfg(feature = "integration")]\nmod slow {{\n{TEST}}}\n',
        '#[cfg(feature = "integration")]\n#[test]\nfn lease() {}\n',
        "fn helper() {}\n",
    ],
)
def test_a_gated_integration_test_is_right(tmp_path, text):
    assert rust(tmp_path, tests__lease_rs=text) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (TEST, 2),
        (f"mod inner {{\n{TEST}}}\n", 3),
        (f'#[cfg(feature = "cuda")]\nmod inner {{\n{TEST}}}\n', 4),
        (f'#[cfg(feature = "integration")]\nmod a {{}}\n{TEST}', 4),
    ],
)
def test_an_integration_test_without_a_gate_is_told_once_a_file(tmp_path, text, line):
    assert rust(tmp_path, tests__lease_rs=text) == [("TNG601", "tests/lease.rs", line)]


def test_the_manifest_may_ask_for_the_feature(tmp_path):
    manifest = (
        '[package]\nname = "a"\n[[test]]\nname = "lease"\nrequired-features = ["integration"]\n'
    )
    found = rust(tmp_path, manifest=manifest, tests__lease_rs=TEST, tests__other_rs=TEST)
    assert found == [("TNG601", "tests/other.rs", 2)]


def test_modules_that_a_target_includes_are_gated_by_it(tmp_path):
    files = {"tests__common__mod_rs": TEST, "tests__big__main_rs": TEST, "src__lib_rs": TEST}
    assert rust(tmp_path, **files) == [("TNG601", "tests/big/main.rs", 2)]


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("#[test]\n#[ignore]\nfn a() {}", True),
        ("#[test]\n#[ignore] // needs a GPU\nfn a() {}", False),
        ("// needs a GPU\n#[test]\n#[ignore]\nfn a() {}", False),
        ("#[ignore]\n// needs a GPU\n#[test]\nfn a() {}", False),
        ('#[test]\n#[ignore = "needs a GPU"]\nfn a() {}', False),
        ("fn b() {} // of b\n#[test]\n#[ignore]\nfn a() {}", True),
        ("#[cfg(test)]\nmod tests {\n    #[test]\n    #[ignore]\n    fn a() {}\n}", True),
        ("#[test]\n#[ignore] // tonnage: ignore[TNG602]\nfn a() {}", False),
    ],
)
def test_an_ignored_test_says_why(tmp_path, text, is_told):
    found = rust(tmp_path, src__lib_rs=text)
    assert [code for code, _, _ in found] == (["TNG602"] if is_told else [])


def test_files_outside_crates_and_in_target_are_not_read(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/lease.rs").write_text(TEST)
    assert find_elsewhere([tmp_path], tmp_path).rust == ()
    (tmp_path / "Cargo.toml").touch()
    (tmp_path / "target/tests").mkdir(parents=True)
    (tmp_path / "target/tests/lease.rs").write_text(TEST)
    found = find_elsewhere([tmp_path / "tests/lease.rs", tmp_path], tmp_path).rust
    assert [file.path.relative_to(tmp_path).as_posix() for file in found] == ["tests/lease.rs"]


def test_broken_rust_and_broken_manifests_end_nothing(tmp_path):
    manifest = "[[test\n"
    files = {"tests__a_rs": "#[test]\nfn (((\n\x00", "tests__b_rs": TEST}
    assert ("TNG601", "tests/b.rs", 2) in rust(tmp_path, manifest=manifest, **files)


def test_without_the_extra_one_line_names_it_and_only_where_there_is_rust(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tree_sitter_rust", None)
    assert check_rust(find_elsewhere([tmp_path], tmp_path), tmp_path, CONTEXT, RULES) == ()
    with pytest.raises(RustReaderMissingError, match="extra `rust`"):
        rust(tmp_path, src__lib_rs=TEST)
    python = [rule for rule in RULES if rule.language == "python"]
    assert check_rust(find_elsewhere([tmp_path], tmp_path), tmp_path, CONTEXT, python) == ()


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ("CUDA_VISIBLE_DEVICES=0 python -m serve", True),
        ("export CUDA_VISIBLE_DEVICES=0,1", True),
        ('  CUDA_VISIBLE_DEVICES="1" python serve.py &', True),
        ("env A=1 CUDA_VISIBLE_DEVICES=1 python serve.py", True),
        ("# CUDA_VISIBLE_DEVICES=0 python -m serve", False),
        ('CUDA_VISIBLE_DEVICES="" python -m serve', False),
        ("CUDA_VISIBLE_DEVICES=-1 python -m serve", False),
        ("CUDA_VISIBLE_DEVICES=${GPU} python -m serve", False),
        ('echo "$CUDA_VISIBLE_DEVICES"', False),
        ("MY_CUDA_VISIBLE_DEVICES=0", False),
        ("CUDA_VISIBLE_DEVICES=0 run  # tonnage: ignore[TNG306]", False),
    ],
)
def test_a_script_that_sets_the_mask_is_told(tmp_path, line, is_told):
    (tmp_path / "launch.sh").write_text(f"#!/bin/bash\n{line}\n")
    elsewhere = find_elsewhere([tmp_path], tmp_path)
    found = check_scripts(elsewhere, tmp_path, CONTEXT, selected_rules(Settings().lint))
    assert [(each.code, each.place.line) for each in found] == ([("TNG306", 2)] if is_told else [])
    assert str(tmp_path / "launch.sh") in elsewhere.depends_on()
