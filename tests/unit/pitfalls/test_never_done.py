"""What Tonnage's own sources never do, whatever happens: held by reading them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tonnage

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

ROOMS = Path(tonnage.__file__).parent
BY_NAME_OR_RESET = re.compile("pkill|killall|process_iter|gpu-reset|nvidia-smi|DeviceReset")
CODE_FROM_DATA = re.compile("^(pickle|marshal|shelve|dill|cloudpickle|system|popen|shell=)$")


def said(tree: ast.AST) -> Iterator[str]:
    """Names and texts that a program consists of, without its documentation."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(str(text)) if id(node) not in documentation:
                yield text
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name):
                yield name
            case ast.ImportFrom(module=str(name)):
                yield name
            case ast.keyword(arg="shell"):
                yield "shell="


def found(source: str, unwanted: re.Pattern[str]) -> list[str]:
    return [text for text in said(ast.parse(source)) if unwanted.search(text)]


def in_ours(unwanted: re.Pattern[str]) -> list[str]:
    sources = sorted(ROOMS.rglob("*.py"))
    assert sources
    return [
        f"{path.relative_to(ROOMS)}: {text}"
        for path in sources
        for text in found(path.read_text(encoding="utf-8"), unwanted)
    ]


def test_no_gpu_is_reset_and_no_process_is_ended_by_its_name():
    assert in_ours(BY_NAME_OR_RESET) == []


def test_nothing_is_unpickled_or_given_to_a_shell():
    assert in_ours(CODE_FROM_DATA) == []


@pytest.mark.parametrize(
    "source",
    [
        "subprocess.run(['pkill', '-f', 'server'])",
        "for process in psutil.process_iter(): process.kill()",
        "nvml.nvmlDeviceReset(handle)",
    ],
)
def test_an_ending_by_name_or_a_reset_would_be_found(source):
    assert found(source, BY_NAME_OR_RESET)


@pytest.mark.parametrize(
    "source", ["import pickle", "subprocess.run(text, shell=True)", "os.system(text)"]
)
def test_data_that_becomes_code_would_be_found(source):
    assert found(source, CODE_FROM_DATA)
