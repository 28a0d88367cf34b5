"""Relations of processes, read from this machine's /proc."""

import os

import pytest

from tonnage.devices.attribution import Relation
from tonnage.devices.processes import process_relations

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


def test_a_process_is_read_with_all_its_ancestors():
    relations = process_relations([os.getpid()])
    assert relations[os.getpid()] == Relation(os.getppid(), os.getsid(0))
    assert all(
        relation.parent in relations or relation.parent == 0 for relation in relations.values()
    )


def test_a_process_that_is_gone_is_absent():
    assert process_relations([2**22 + 1]) == {}


def test_nothing_asked_nothing_read():
    assert process_relations([]) == {}
