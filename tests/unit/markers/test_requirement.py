"""From the marks of a test to what it needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.errors import MarkerError, MarkerProblem
from tonnage.markers.customise import Changes, customise
from tonnage.markers.marks import MarkValue
from tonnage.markers.presets import PRESETS
from tonnage.markers.requirement import Requirement, requirement_of

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]

SERVING = PRESETS["serving"]


def mark(name: str, *args, **kwargs) -> MarkValue:
    return MarkValue(name, args, kwargs)


def needed(*marks: MarkValue) -> Requirement:
    return requirement_of(marks, SERVING)


def problems(*marks: MarkValue) -> tuple[MarkerProblem, ...]:
    with pytest.raises(MarkerError) as caught:
        requirement_of(marks, SERVING)
    return caught.value.problems


def test_no_mark_declares_nothing():
    assert needed() == Requirement()


def test_a_fully_marked_test():
    assert needed(
        mark("pre_merge"),
        mark("e2e"),
        mark("gpu_1"),
        mark("max_vram_gib", 21),
        mark("vllm"),
        mark("timeout", 240),
        mark("requested_vllm_kv_cache_bytes", 920_000_000),
    ) == Requirement(
        gpus=1,
        vram_mib=21504,
        reserved_mib=21504,
        timeout_s=240.0,
        engine_caps=(("requested_vllm_kv_cache_bytes", 920_000_000),),
        lifecycle="pre_merge",
    )


def test_needs_says_the_same_in_one_line():
    assert needed(
        mark(
            "needs",
            gpus=2,
            vram_gib=3.8,
            cpus=4,
            memory_gib=0.5,
            exclusive=["port-80", "model"],
            group="engine",
        )
    ) == Requirement(
        gpus=2,
        vram_mib=3892,
        reserved_mib=3892,
        cpus=4,
        memory_mib=512,
        exclusive=frozenset({"port-80", "model"}),
        group="engine",
    )


def test_a_measured_peak_is_reserved_with_a_margin_rounded_up():
    requirement = needed(mark("gpu_1"), mark("profiled_vram_gib", 1))
    assert (requirement.vram_mib, requirement.reserved_mib) == (1024, 1127)


def test_a_declaration_beside_a_measured_peak_is_what_is_reserved():
    requirement = needed(mark("gpu_1"), mark("profiled_vram_gib", 4), mark("max_vram_gib", 6))
    assert (requirement.vram_mib, requirement.reserved_mib) == (6144, 6144)


def test_a_peak_may_reach_what_is_declared():
    requirement = needed(mark("profiled_vram_gib", 4), mark("max_vram_gib", 4))
    assert requirement.reserved_mib == 4096


@pytest.mark.parametrize("name", ["max_vram_gib", "profiled_vram_gib"])
def test_vram_is_read_by_position_and_by_keyword(name):
    assert needed(mark(name, 2.5)) == needed(mark(name, gib=2.5))
    assert needed(mark(name, 2.5)).vram_mib == 2560


@pytest.mark.parametrize("marks", [[mark("max_vram_gib", 4)], [mark("h100")]])
def test_what_only_a_gpu_gives_implies_one(marks):
    assert needed(*marks).gpus == 1


def test_no_vram_implies_no_gpu_and_contradicts_none():
    assert needed(mark("max_vram_gib", 0)) == Requirement(vram_mib=0, reserved_mib=0)
    assert needed(mark("gpu_0"), mark("max_vram_gib", 0)).gpus == 0


def test_two_cards_must_both_be_in_the_name():
    vocabulary, _ = customise(SERVING, Changes(cards=("nvl", "h100")))
    requirement = requirement_of([mark("nvl"), mark("h100"), mark("gpu_2")], vocabulary)
    assert requirement == Requirement(gpus=2, gpu_names=("h100", "nvl"))
    assert requirement.allows_card("NVIDIA H100 NVL")
    assert not requirement.allows_card("NVIDIA H100 80GB HBM3")


def test_the_closest_mark_of_a_name_wins():
    requirement = needed(
        mark("gpu_1"),
        mark("max_vram_gib", 8),
        mark("needs", cpus=2),
        mark("timeout", 10),
        mark("requested_sglang_kv_tokens", 100),
        mark("max_vram_gib", 2),
        mark("needs", cpus=8, memory_gib=1),
        mark("timeout", 99),
        mark("requested_sglang_kv_tokens", 900),
    )
    assert requirement == Requirement(
        gpus=1,
        vram_mib=8192,
        reserved_mib=8192,
        cpus=2,
        memory_mib=1024,
        timeout_s=10.0,
        engine_caps=(("requested_sglang_kv_tokens", 100),),
    )


def test_exclusive_resources_unite():
    marks = [mark("needs", exclusive="a"), mark("needs", exclusive=("b", "c"))]
    assert needed(*marks).exclusive == frozenset("abc")


def test_the_earliest_of_several_lifecycles_counts():
    assert needed(mark("nightly"), mark("post_merge"), mark("release")).lifecycle == "post_merge"


def test_the_same_count_twice_is_no_contradiction():
    assert needed(mark("gpu_2"), mark("gpu_2"), mark("needs", gpus=2)).gpus == 2


@pytest.mark.parametrize(
    "name", ["skip", "skipif", "xfail", "parametrize", "usefixtures", "flaky", "of_another_plugin"]
)
def test_marks_of_pytest_and_others_are_left_alone(name):
    assert needed(mark(name, "anything", {}, more=object())) == Requirement()


def test_the_minimal_preset_does_not_read_gpu_marks():
    minimal = PRESETS["minimal"]
    marks = [mark("gpu_4"), mark("gpu_1"), mark("needs", gpus=2)]
    assert requirement_of(marks, minimal) == Requirement(gpus=2)


@pytest.mark.parametrize(
    ("given_mark", "timeout_s"),
    [
        (mark("timeout", 60), 60.0),
        (mark("timeout", "1.5"), 1.5),
        (mark("timeout", timeout=60, method="thread", func_only=True), 60.0),
        (mark("timeout", 60, "signal"), 60.0),
        (mark("timeout", 0), None),
        (mark("timeout", None), None),
        (mark("timeout", method="thread"), None),
    ],
)
def test_timeout_is_read_as_pytest_timeout_does(given_mark, timeout_s):
    assert needed(given_mark).timeout_s == timeout_s


def test_a_closer_timeout_of_none_hides_a_farther_one():
    assert needed(mark("timeout", 0), mark("timeout", 60)).timeout_s is None


@pytest.mark.parametrize(
    ("marks", "concerned", "reason"),
    [
        (
            [mark("gpu_2"), mark("gpu_1")],
            ("gpu_1", "gpu_2"),
            "gpu_1 and gpu_2 declare different numbers of GPUs",
        ),
        (
            [mark("gpu_1"), mark("needs", gpus=2)],
            ("gpu_1", "needs"),
            "gpu_1 and needs(gpus=2) declare different numbers of GPUs",
        ),
        (
            [mark("gpu_0"), mark("max_vram_gib", 4)],
            ("gpu_0", "max_vram_gib"),
            "gpu_0 gives the test no GPU, max_vram_gib(4) asks for one",
        ),
        (
            [mark("needs", gpus=0, vram_gib=4)],
            ("needs",),
            "needs(gpus=0) gives the test no GPU, needs(vram_gib=4) asks for one",
        ),
        (
            [mark("gpu_0"), mark("h100")],
            ("gpu_0", "h100"),
            "gpu_0 gives the test no GPU, h100 asks for one",
        ),
        (
            [mark("gpu_1"), mark("max_vram_gib", 4), mark("needs", vram_gib=5)],
            ("max_vram_gib", "needs"),
            "max_vram_gib(4) and needs(vram_gib=5) declare different VRAM",
        ),
        (
            [mark("max_vram_gib", 4), mark("profiled_vram_gib", 5.5)],
            ("max_vram_gib", "profiled_vram_gib"),
            "profiled_vram_gib(5.5) is a peak above what max_vram_gib(4) allows",
        ),
        (
            [mark("max_vram_gib", -1)],
            ("max_vram_gib",),
            "max_vram_gib(-1): -1 is not a number of at least 0",
        ),
        (
            [mark("max_vram_gib", "4")],
            ("max_vram_gib",),
            "max_vram_gib('4'): '4' is not a number of at least 0",
        ),
        (
            [mark("profiled_vram_gib", True)],
            ("profiled_vram_gib",),
            "profiled_vram_gib(True): True is not a number of at least 0",
        ),
        (
            [mark("max_vram_gib", float("nan"))],
            ("max_vram_gib",),
            "max_vram_gib(nan): nan is not a number of at least 0",
        ),
        (
            [mark("max_vram_gib")],
            ("max_vram_gib",),
            "max_vram_gib() does not have exactly one argument",
        ),
        (
            [mark("max_vram_gib", gb=4)],
            ("max_vram_gib",),
            "max_vram_gib(gb=4) has an unknown keyword",
        ),
        (
            [mark("requested_sglang_kv_tokens", 0)],
            ("requested_sglang_kv_tokens",),
            "requested_sglang_kv_tokens(0): 0 is not a number above 0",
        ),
        (
            [mark("timeout", "soon")],
            ("timeout",),
            "timeout('soon'): 'soon' is not a number of seconds",
        ),
        (
            [mark("timeout", -1)],
            ("timeout",),
            "timeout(-1): -1 is not a number of seconds, 0 for no limit",
        ),
        ([mark("needs", 2)], ("needs",), "needs(2) has an argument without a keyword"),
        ([mark("needs", gpu=2)], ("needs",), "needs has no keyword gpu"),
        (
            [mark("needs", gpus=True)],
            ("needs",),
            "needs(gpus=True): True is not a whole number of at least 0",
        ),
        (
            [mark("needs", cpus=0)],
            ("needs",),
            "needs(cpus=0): 0 is not a whole number of at least 1",
        ),
        (
            [mark("needs", exclusive=["a", 1])],
            ("needs",),
            "needs(exclusive=['a', 1]): ['a', 1] is not a name in quotes, or several in a list",
        ),
        ([mark("needs", group="")], ("needs",), "needs(group=''): '' is not a name in quotes"),
    ],
)
def test_what_contradicts_or_cannot_be_used(marks, concerned, reason):
    (problem,) = problems(*marks)
    assert problem.marks == concerned
    assert problem.reason == reason
    assert problem.remedy


def test_an_unknown_keyword_suggests_the_nearest():
    (problem,) = problems(mark("needs", vram=4))
    assert problem.remedy == 'did you mean "vram_gib"?'


def test_all_problems_of_a_test_are_told_at_once():
    found = problems(mark("gpu_1"), mark("gpu_2"), mark("timeout", "x"), mark("needs", cpus=0))
    assert {problem.marks for problem in found} == {("gpu_1", "gpu_2"), ("timeout",), ("needs",)}


def test_a_value_whose_repr_fails_is_still_a_problem_in_words():
    class Odd:
        def __repr__(self):
            raise RuntimeError

    (problem,) = problems(mark("max_vram_gib", Odd()))
    assert "Odd instance" in problem.reason


def test_a_number_too_large_to_write_is_a_problem_too():
    (problem,) = problems(mark("needs", memory_gib=10**5000))
    assert problem.marks == ("needs",)


# Whatever a test may carry, right and wrong; few names, so that they meet.
numbers = st.sampled_from([-1, 0, 1, 2.5, 4, True, None, "4", float("nan")])
any_mark = st.one_of(
    st.sampled_from(["gpu_0", "gpu_1", "gpu_2", "h100", "nightly", "pre_merge", "skip"]).map(mark),
    st.builds(
        mark,
        st.sampled_from(
            ["max_vram_gib", "profiled_vram_gib", "timeout", "requested_trtllm_vram_gib"]
        ),
        numbers,
    ),
    st.dictionaries(st.sampled_from(["gpus", "vram_gib", "cpus", "gpu"]), numbers).map(
        lambda given_needs: mark("needs", **given_needs)
    ),
)


def outcome(marks: list[MarkValue]) -> object:
    try:
        return requirement_of(marks, SERVING)
    except MarkerError as error:
        return error.problems


@given(st.lists(any_mark, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_different_marks_never_matters(marks, random):
    names = [each.name for each in marks]
    random.shuffle(names)
    # pytest orders the marks of one name; of different names it defines no order.
    queues = {name: [each for each in marks if each.name == name] for name in names}
    reordered = [queues[name].pop(0) for name in names]
    assert outcome(reordered) == outcome(marks)


@given(st.lists(any_mark, max_size=8))
def test_a_requirement_is_consistent(marks):
    found = outcome(marks)
    if isinstance(found, Requirement):
        assert (found.vram_mib is None) == (found.reserved_mib is None)
        assert (found.reserved_mib or 0) >= (found.vram_mib or 0) >= 0
        assert found.gpus != 0 or (not found.vram_mib and not found.gpu_names)
        assert found.cpus >= 1
