"""Conditions that hold, or do not, whatever runs: on the version, the platform, `TYPE_CHECKING`."""

import ast
import os
import sys
from collections.abc import Callable
from typing import Any

# What the conditions that a version or platform decides are computed from.
_KNOWN_NAMES: dict[str, object] = {
    "TYPE_CHECKING": False,
    "typing.TYPE_CHECKING": False,
    "sys.version_info": tuple(sys.version_info),
    "sys.platform": sys.platform,
    "os.name": os.name,
    "__name__": "the name of a module",
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda left, right: left == right,
    ast.NotEq: lambda left, right: left != right,
    ast.Lt: lambda left, right: left < right,
    ast.LtE: lambda left, right: left <= right,
    ast.Gt: lambda left, right: left > right,
    ast.GtE: lambda left, right: left >= right,
}


def known_condition(node: ast.expr) -> bool | None:
    """Whether a condition holds here, where that is known without running anything."""
    try:
        return bool(_evaluated(node))
    except (ValueError, TypeError, LookupError):
        return None


def _evaluated(node: ast.expr) -> object:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _evaluated(node.operand)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        compare = _COMPARISONS[type(node.ops[0])]
        return compare(_evaluated(node.left), _evaluated(node.comparators[0]))
    if isinstance(node, ast.Subscript):
        of, at = _evaluated(node.value), _evaluated(node.slice)
        return of[at]  # type: ignore[index]
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _KNOWN_NAMES[ast.unparse(node)]
    return ast.literal_eval(node)
