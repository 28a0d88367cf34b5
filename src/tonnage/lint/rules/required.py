"""TNG101-103: every test says when it runs, what kind it is and what hardware it needs."""

from collections.abc import Iterator

from tonnage.lint.context import Context
from tonnage.lint.declared import implied_markers, mark_names, own_path, own_target
from tonnage.lint.model import DeclaredTest, Edit, Severity
from tonnage.lint.rule import Found, Rule, TestCheck
from tonnage.markers.vocabulary import Category


def _missing(category: Category, what: str) -> TestCheck:
    """Looks for a test without a marker of the category, where the vocabulary has any."""

    def check(test: DeclaredTest, context: Context) -> Iterator[Found]:
        # A name that the project has replaced is told by TNG114: it is not missing besides.
        names = (context.renamed.get(name, name) for name in mark_names(test))
        markers = map(context.vocabulary.get, names)
        if any(marker is not None and marker.category is category for marker in markers):
            return
        known = [marker.name for marker in context.vocabulary.of(category)]
        if not known:
            return
        if category is Category.HARDWARE and _needs_say_gpus(test, context):
            return
        implied = [name for name in implied_markers(test, context) if name in known]
        target = own_target(test)
        edits: tuple[Edit, ...] = ()
        if target and len(implied) == 1:
            edits = (Edit(own_path(test), target, add=(f"pytest.mark.{implied[0]}",)),)
        yield Found(
            f"no {what} marker",
            remedy=f"Add {implied[0]}, which its place implies."
            if len(implied) == 1
            else f"Add one of {', '.join(known)}.",
            edits=edits,
        )

    return check


def _needs_say_gpus(test: DeclaredTest, context: Context) -> bool:
    """Whether `needs(gpus=...)` takes the place of a hardware marker."""
    needs = context.vocabulary.name_of("needs")
    return any(mark.value.name == needs and "gpus" in mark.value.kwargs for mark in test.marks)


_GOOD = "@pytest.mark.pre_merge\n@pytest.mark.unit\n@pytest.mark.gpu_0\ndef test_block_table(): ..."

RULES = (
    Rule(
        "TNG101",
        "missing-lifecycle",
        Severity.ERROR,
        "A test has no lifecycle marker.",
        "The pipeline's stages select tests by lifecycle. One without is run by no stage, and "
        "nobody notices. Mark the earliest stage that must run it; later ones include it.",
        "@pytest.mark.unit\n@pytest.mark.gpu_0\ndef test_block_table(): ...",
        _GOOD,
        of_test=_missing(Category.LIFECYCLE, "lifecycle"),
        needs_all_marks=True,
        fixable=True,
        keys=("implied",),
    ),
    Rule(
        "TNG102",
        "missing-type",
        Severity.ERROR,
        "A test has no type marker.",
        "Unit, integration and end-to-end tests are run by different jobs, with different time "
        "to spend. A test that does not say which it is belongs to none of them.",
        "@pytest.mark.pre_merge\n@pytest.mark.gpu_0\ndef test_block_table(): ...",
        _GOOD,
        of_test=_missing(Category.TYPE, "type"),
        needs_all_marks=True,
        fixable=True,
        keys=("implied",),
    ),
    Rule(
        "TNG103",
        "missing-hardware",
        Severity.ERROR,
        "A test has no hardware marker.",
        "Without one, a packed run keeps a whole GPU for the test in case it needs one. Say gpu_0 "
        "for none; `needs(gpus=...)` counts too.",
        "@pytest.mark.pre_merge\n@pytest.mark.unit\ndef test_block_table(): ...",
        _GOOD,
        of_test=_missing(Category.HARDWARE, "hardware"),
        needs_all_marks=True,
        fixable=True,
        keys=("implied",),
    ),
)
