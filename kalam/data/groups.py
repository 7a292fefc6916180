"""Groups that belong together: what no split may separate."""


class Groups:
    """Disjoint sets of group names; a set goes by its smallest name, whatever the order of joins."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def name(self, group: str) -> str:
        """The smallest name of the set that holds `group`."""
        root = group
        while (parent := self._parent.get(root, root)) != root:
            root = parent
        while group != root:
            self._parent[group], group = root, self._parent[group]
        return root

    def join(self, one: str, other: str) -> None:
        """From now on both are one set."""
        first, second = sorted((self.name(one), self.name(other)))
        self._parent[second] = first
