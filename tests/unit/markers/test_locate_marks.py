"""Where the marks of a test stand in its file."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.markers.locate import locate_marks

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

SOURCE = textwrap.dedent(
    """\
    import pytest
    from pytest import mark

    pytestmark = [pytest.mark.unit, pytest.mark.gpu_1]
    big = pytest.mark.max_vram_gib(20)
    both = [pytest.mark.vllm, pytest.mark.slow]
    CASES = [pytest.param(1, marks=both)]


    @mark.nightly
    @pytest.mark.needs(
        gpus=2,
    )
    def test_plain():
        pytest.mark.in_the_body


    class TestOuter:
        pytestmark = mark.gpu_2

        class TestInner:
            @big
            @pytest.mark.gpu_4
            @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.gpu_8)])
            async def test_deep(self, x): ...

        @pytest.mark.gpu_0
        def test_other(self): ...


    if True:
        try:
            @pytest.mark.parametrize("x", CASES)
            def test_conditional(x): ...
        except ValueError:
            pass
    """
)


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(SOURCE.splitlines(), 1) if text in line)


MODULE = {"unit": [line_of("pytestmark = [")], "gpu_1": [line_of("pytestmark = [")]}


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        (
            ("test_plain",),
            {"nightly": [line_of("mark.nightly")], "needs": [line_of("mark.needs")]},
        ),
        (
            ("TestOuter", "TestInner", "test_deep"),
            {
                "max_vram_gib": [line_of("@big")],
                "gpu_4": [line_of("gpu_4")],
                "parametrize": [line_of("gpu_8")],
                "gpu_8": [line_of("gpu_8")],
                "gpu_2": [line_of("gpu_2")],
            },
        ),
        (
            ("TestOuter", "test_other[a-1]"),
            {"gpu_0": [line_of("gpu_0")], "gpu_2": [line_of("gpu_2")]},
        ),
        (
            ("test_conditional",),
            {
                "parametrize": [line_of("CASES)")],
                "vllm": [line_of("CASES)")],
                "slow": [line_of("CASES)")],
            },
        ),
        (("TestOuter", "test_inherited"), {"gpu_2": [line_of("gpu_2")]}),
        (("test_absent",), {}),
    ],
)
def test_marks_of_a_test_its_classes_and_its_module(parts, lines):
    assert locate_marks(SOURCE, parts) == lines | MODULE


def test_the_closest_place_comes_first():
    source = textwrap.dedent(
        """\
        from pytest import mark
        pytestmark = mark.unit
        @mark.unit
        def test_a(): ...
        """
    )
    assert locate_marks(source, ("test_a",)) == {"unit": [3, 2]}


def test_a_later_definition_replaces_an_earlier_one():
    source = "@mark.one\ndef test_a(): ...\n@mark.two\ndef test_a(): ...\n"
    assert locate_marks(source, ("test_a",)) == {"two": [3]}


def test_the_line_is_that_of_the_name_and_told_once():
    source = "pytestmark = [\n  pytest.mark.\\\n    one, mark.two, mark.two]\n"
    assert locate_marks(source, ("test_a",)) == {"one": [3], "two": [3]}


@pytest.mark.parametrize("source", ["def", "\0", "(" * 500, "\ud800", "1" * 5000])
def test_what_cannot_be_parsed_has_no_lines(source):
    assert locate_marks(source, ("test_a",)) == {}


def test_a_file_too_deep_to_walk_has_no_lines():
    source = (
        "from pytest import mark\npytestmark = mark.unit\nif a: pass\n" + "elif a: pass\n" * 3000
    )
    assert locate_marks(source, ("test_a",)) == {}


@given(st.text(), st.lists(st.text()))
def test_odd_sources_never_raise(source, parts):
    locate_marks(source, parts)
