"""Which groups are held out: a share or a number of each register's documents."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from kalam.files.digests import digest_text
from kalam.files.errors import InputError

Document = dict[str, Any]


def held_out_groups(documents: Sequence[Document], settings: dict[str, Any], seed: int) -> dict[str, str]:
    """The groups of `validation` and `test`, each with its split; all others are trained on.

    `settings` gives `validation` and `test`: below 1 a share of each register's documents,
    otherwise a number of them. The groups of a register are taken in the order of a hash of seed
    and name, for test first, as long as each brings it nearer to its size; where all are too
    large, the smallest is. A group is never cut, and one that spans registers counts in each.
    Nothing depends on a text, so editing one moves no other.

    Raises InputError naming a register that cannot give each split a document.
    """
    assignment = _Assignment(documents, seed)
    for held_out, splits_after in (("test", 2), ("validation", 1)):
        for register in assignment.registers:
            assignment.fill(register, held_out, settings, splits_after)
    return assignment.place


class _Assignment:
    """Which groups are held out so far: `place`, from a group's name to its split."""

    def __init__(self, documents: Sequence[Document], seed: int) -> None:
        sizes: dict[str, Counter[str]] = defaultdict(Counter)
        self.spans: dict[str, set[str]] = defaultdict(set)
        for document in documents:
            sizes[document["register"]][document["group"]] += 1
            self.spans[document["group"]].add(document["register"])
        order = {group: digest_text(f"{seed}\0{group}") for group in self.spans}
        self.registers = {
            register: dict(sorted(sizes[register].items(), key=lambda item: order[item[0]]))
            for register in sorted(sizes)
        }
        self.free = {register: len(groups) for register, groups in self.registers.items()}
        self.place: dict[str, str] = {}

    def fill(self, register: str, held_out: str, settings: dict[str, Any], splits_after: int) -> None:
        """Take groups of a register for a split, leaving one at least for each split after it."""
        sizes = self.registers[register]
        wanted = self._wanted(register, settings)[held_out]
        held = sum(size for group, size in sizes.items() if self.place.get(group) == held_out)
        for group, size in sizes.items():
            if held + size - wanted <= wanted - held and self._take(group, held_out, splits_after):
                held += size
        if held == 0:
            smallest_first = sorted(sizes, key=lambda group: sizes[group])
            if not any(self._take(group, held_out, splits_after) for group in smallest_first):
                raise self._too_small(register, settings)

    def _take(self, group: str, held_out: str, splits_after: int) -> bool:
        if group in self.place or any(self.free[register] <= splits_after for register in self.spans[group]):
            return False
        self.place[group] = held_out
        for register in self.spans[group]:
            self.free[register] -= 1
        return True

    def _wanted(self, register: str, settings: dict[str, Any]) -> dict[str, int]:
        total = sum(self.registers[register].values())
        sizes = {name: settings[name] for name in ("test", "validation")}
        wanted = {name: max(1, round(size * total)) if size < 1 else int(size) for name, size in sizes.items()}
        if sum(wanted.values()) >= total:
            raise self._too_small(register, settings)
        return wanted

    def _too_small(self, register: str, settings: dict[str, Any]) -> InputError:
        sizes = self.registers[register]
        return InputError(
            f"register {register}: {sum(sizes.values())} documents in {len(sizes)} groups found; wanted are "
            f"test {settings['test']}, validation {settings['validation']} (below 1 a share) and a group for each split"
        )
