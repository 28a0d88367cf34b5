"""The ledger of simulated cards, within one process."""

import gc
import json
import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.devices.ledger import Allocation, Ledger, Shortage, cards_of
from tonnage.errors import DeviceError

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


@pytest.fixture
def ledger(tmp_path):
    return Ledger.create(tmp_path, cards_of([1000, 2000]))


def used(ledger, card):
    return sum(held.mib for held in ledger.on_card(card.uuid))


def rewrite(ledger, change):
    """Replace the ledger's content by what `change` makes of it."""
    path = ledger.directory / "ledger.json"
    content = json.loads(path.read_text())
    change(content)
    path.with_suffix(".changed").write_text(json.dumps(content))
    path.with_suffix(".changed").replace(path)


def test_equal_machines_have_equal_cards():
    assert cards_of([10, 20]) == cards_of([10, 20])
    assert cards_of([10, 20]) != cards_of([20, 10])
    assert len({card.uuid for card in cards_of([10] * 1024)}) == 1024


def test_what_is_taken_is_seen_through_another_door(ledger):
    first, second = ledger.cards
    other = Ledger(ledger.directory)
    taken = ledger.allocate(second, 1500, "me")
    assert other.live() == (taken,)
    assert used(other, first) == 0
    assert used(other, second) == 1500
    other.release(taken)
    assert ledger.live() == ()


def test_releasing_twice_gives_back_once(ledger):
    card = ledger.cards[0]
    first = ledger.allocate(card, 400, "me")
    ledger.allocate(card, 400, "me")
    ledger.release(first)
    ledger.release(first)
    assert used(ledger, card) == 400


def test_a_full_card_refuses_and_says_by_whom_it_is_held(ledger):
    card = ledger.cards[0]
    taken = ledger.allocate(card, 1000, "me")
    assert ledger.allocate(card, 1, "you") == Shortage(0, None, (taken,))
    assert isinstance(ledger.allocate(ledger.cards[1], 1, "you"), Allocation)


def test_a_cap_counts_one_owner_on_one_card(ledger):
    first, second = ledger.cards
    ledger.allocate(first, 300, "me", cap_mib=500)
    assert isinstance(ledger.allocate(second, 500, "me", cap_mib=500), Allocation)
    assert isinstance(ledger.allocate(first, 500, "you", cap_mib=500), Allocation)
    refused = ledger.allocate(first, 201, "me", cap_mib=500)
    assert isinstance(refused, Shortage)
    assert refused.cap_left_mib == 200
    assert isinstance(ledger.allocate(first, 200, "me", cap_mib=500), Allocation)


def test_a_recycled_pid_inherits_nothing(ledger):
    taken = ledger.allocate(ledger.cards[0], 600, "me")

    def started_earlier(content):
        content["allocations"][0][3] = taken.started - 1

    rewrite(ledger, started_earlier)
    assert ledger.live() == ()
    assert isinstance(ledger.allocate(ledger.cards[0], 1000, "me"), Allocation)


def test_memory_of_another_process_cannot_be_given_back(ledger):
    taken = ledger.allocate(ledger.cards[0], 600, "me")
    inherited = Allocation(
        taken.id, taken.uuid, os.getppid(), taken.started, taken.mib, taken.owner
    )
    ledger.release(inherited)
    assert ledger.live() == (taken,)


def test_a_ledger_that_is_gone_is_a_plain_error(ledger):
    taken = ledger.allocate(ledger.cards[0], 1, "me")
    shutil.rmtree(ledger.directory)
    for call in (
        ledger.live,
        lambda: ledger.allocate(ledger.cards[0], 1, "me"),
        lambda: Ledger(ledger.directory),
    ):
        with pytest.raises(DeviceError, match="cannot be used") as caught:
            call()
        assert "TONNAGE_SIM_LEDGER" in str(caught.value)
    ledger.release(taken)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 99, "cards": []}'])
def test_a_file_that_is_no_ledger_is_a_plain_error(ledger, content):
    (ledger.directory / "ledger.json").write_text(content)
    with pytest.raises(DeviceError, match="cannot be used"):
        Ledger(ledger.directory)


def test_threads_never_take_more_than_there_is(ledger):
    card = ledger.cards[0]
    results = []

    def take():
        results.extend(ledger.allocate(card, 100, "me") for _ in range(5))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(result, Allocation) for result in results) == 10
    assert used(ledger, card) == 1000


def test_reading_again_and_again_opens_no_more_files(ledger):
    def open_files():
        return len(list(Path("/proc/self/fd").iterdir()))

    ledger.release(ledger.allocate(ledger.cards[0], 1, "me"))
    gc.collect()  # what earlier tests left is not counted here
    before = open_files()
    for _ in range(20):
        ledger.release(ledger.allocate(ledger.cards[0], 1, "me"))
        ledger.live()
    assert open_files() <= before


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 700), st.booleans()), max_size=12))
def test_a_card_holds_what_was_granted_and_never_more_than_it_has(steps):
    with tempfile.TemporaryDirectory() as directory:
        ledger = Ledger.create(Path(directory), cards_of([1000, 2000]))
        held: list[Allocation] = []
        for place, mib, gives_back in steps:
            if gives_back and held:
                ledger.release(held.pop(0))
            card = ledger.cards[place]
            free = card.capacity_mib - sum(each.mib for each in held if each.uuid == card.uuid)
            result = ledger.allocate(card, mib, "me")
            assert isinstance(result, Allocation) == (mib <= free)
            if isinstance(result, Allocation):
                held.append(result)
            assert ledger.live() == tuple(held)
