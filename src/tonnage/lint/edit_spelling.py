"""What an expression of a mark means, however the file spells it. Pure, without LibCST."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from tonnage.lint.edit_rows import RowMark

_MARK = "pytest.mark"


@dataclass(frozen=True, slots=True)
class Spelling:
    """What the file writes for `pytest` and `pytest.mark`; `pytest` is empty where only `mark` is
    imported.

    `aliases` are names such as `gpu = pytest.mark.gpu_1`. `is_imported`: one of both is, in the
    file itself.
    """

    pytest: str
    mark: str
    aliases: Mapping[str, RowMark]
    is_imported: bool = True

    def read(self, code: str) -> RowMark | None:
        """The mark that an expression of this file is, None when it is none."""
        try:
            node = ast.parse(code.strip(), mode="eval").body
        except SyntaxError:
            return None
        return self._read(node)

    def _read(self, node: ast.expr) -> RowMark | None:
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id)
        function = node.func if isinstance(node, ast.Call) else node
        if not (isinstance(function, ast.Attribute) and self._is_mark(ast.unparse(function.value))):
            return None
        has_arguments = isinstance(node, ast.Call) and (node.args or node.keywords)
        meaning = function.attr
        if has_arguments:
            meaning += ast.unparse(node).removeprefix(ast.unparse(function))
        return RowMark(function.attr, meaning)

    def _is_mark(self, dotted: str) -> bool:
        return bool(self.pytest and dotted == f"{self.pytest}.mark") or dotted == self.mark

    def write(self, expression: str) -> str:
        """An expression that says `pytest.mark`, as this file says it."""
        if not expression.startswith(f"{_MARK}."):
            return expression
        return (self.mark or _MARK) + expression.removeprefix(_MARK)


PLAIN = Spelling("pytest", _MARK, {})
"""Of a file that does `import pytest`."""


def meaning_of(expression: str) -> str:
    """An expression written with `pytest.mark`, in the one form that RowMark has."""
    mark = PLAIN.read(expression)
    return mark.meaning if mark else expression


def name_of(expression: str) -> str:
    """The name of the mark that an expression written with `pytest.mark` is."""
    mark = PLAIN.read(expression)
    return mark.name if mark else expression
