"""What `# tonnage: ignore[CODE]` comments silence, and which of them silence nothing."""

from collections.abc import Iterable, Iterator

from tonnage.errors import suggestion
from tonnage.lint.context import Context
from tonnage.lint.model import DeclaredTest, Finding, IgnoredCode, Level, Place
from tonnage.lint.outline import Ignore
from tonnage.lint.rule import Found, Rule
from tonnage.lint.rules import RULES
from tonnage.lint.rules.reading import UNUSED
from tonnage.lint.source import Reading, SourceFile

_CODES = tuple(rule.code for rule in RULES if rule is not UNUSED)


class Ignoring:
    """The comments of one reading. `used`: what has silenced a finding so far."""

    def __init__(self, reading: Reading) -> None:
        self.used: set[IgnoredCode] = set()
        self._reading = reading
        self._comments: dict[tuple[str, int], list[Ignore]] = {}
        for path, comments in reading.ignores.items():
            for one in comments:
                self._comments.setdefault((path, one.line), []).append(one)
        self._places = {test.node_id: _own_places(test) for test in reading.tests}

    def silences(self, finding: Finding) -> bool:
        """Whether a comment where it is found, at the test's `def` or a decorator silences it."""
        is_silenced = False
        for place in (finding.place, *self._places.get(finding.test, ())):
            for one in self._comments.get((place.path, place.line), ()):
                if not one.codes or finding.code in one.codes:
                    code = finding.code if one.codes else ""
                    self.used.add(_ignored(place.path, one, code))
                    is_silenced = True
        return is_silenced

    def used_elsewhere(self) -> tuple[IgnoredCode, ...]:
        """What has silenced findings from comments in files that are not of this reading."""
        own = {file.path for file in self._reading.files}
        return tuple(each for each in self.used if each.path not in own)

    def unused(self, rules: Iterable[Rule], context: Context) -> Iterator[Found]:
        """The comments that have silenced nothing, where that can be said."""
        judge = _Judge({rule.code: rule for rule in rules}, context, self._reading.tests)
        for file in self._reading.files:
            if file.is_collected and not file.problems:
                for one in self._reading.ignores.get(file.path, ()):
                    if UNUSED.code not in one.codes:
                        yield from self._of_comment(one, file, judge)

    def _of_comment(self, one: Ignore, file: SourceFile, judge: "_Judge") -> Iterator[Found]:
        place = Place(file.path, *one.at)
        for code in one.codes or ("",):
            ignored = _ignored(file.path, one, code)
            if code and code not in _CODES:
                remedy = suggestion(code, _CODES) or "`tonnage rule` lists them."
                yield Found(f"there is no rule {code} to ignore", place, remedy)
            elif ignored not in self.used and all(
                judge.could_find(each, one, file) for each in ([code] if code else _CODES)
            ):
                what = f"of {code} " if code else ""
                yield Found(f"this ignore {what}silences nothing", place, "", (), ignored)


class _Judge:
    """Says whether a rule would have found something at a comment, were it there."""

    def __init__(
        self, rules: dict[str, Rule], context: Context, tests: Iterable[DeclaredTest]
    ) -> None:
        self._rules = rules
        self._context = context
        self._at: dict[tuple[str, int], list[DeclaredTest]] = {}
        self._doubtful: set[str] = set()  # files with tests that may have more marks
        for test in tests:
            places = [test.place, *(mark.place for mark in test.marks if mark.place)]
            for key in {(place.path, place.line) for place in places}:
                self._at.setdefault(key, []).append(test)
            if _may_have_more(test):
                self._doubtful.add(test.place.path)

    def could_find(self, code: str, one: Ignore, file: SourceFile) -> bool:
        rule = self._rules.get(code)
        if rule is None or not rule.can_judge(self._context):
            return False
        tests = self._at.get((file.path, one.line), [])
        if rule.reads_history and any(
            test.node_id not in self._context.durations_s for test in tests
        ):
            return False
        if rule.of_test and tests:
            return not (rule.needs_all_marks and any(map(_may_have_more, tests)))
        if rule.of_test:  # perhaps a test that another file inherits, or that was not seen
            return not one.is_inside and not file.unknown
        return not rule.of_file or not (file.unknown or file.path in self._doubtful)


def _own_places(test: DeclaredTest) -> tuple[Place, ...]:
    marks = (mark.place for mark in test.marks if mark.level is Level.TEST and mark.place)
    return (test.place, *marks)


def _ignored(path: str, one: Ignore, code: str) -> IgnoredCode:
    line, column, *_ = one.at
    return IgnoredCode(path, line, column, code)


def _may_have_more(test: DeclaredTest) -> bool:
    return bool(test.unknown or test.possible)
