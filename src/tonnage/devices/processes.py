"""How processes are related, read from /proc: who started whom, and in which session."""

from collections.abc import Iterable

from tonnage.devices.attribution import Relation


def process_relations(pids: Iterable[int]) -> dict[int, Relation]:
    """Relations of these processes and of all their ancestors.

    A process that is gone, or that is numbered in another pid namespace, is absent.
    """
    relations: dict[int, Relation] = {}
    for pid in pids:
        current = pid
        while current > 0 and current not in relations:
            relation = _relation(current)
            if relation is None:
                break
            relations[current] = relation
            current = relation.parent
    return relations


def _relation(pid: int) -> Relation | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123
            text = file.read(4096)
    except OSError:
        return None
    # The name may hold blanks and brackets; fields are counted from behind it (see proc(5)).
    fields = text[text.rfind(b")") + 2 :].split()
    return Relation(parent=int(fields[1]), session=int(fields[3]))
