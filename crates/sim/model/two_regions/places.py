"""Where things lie: offsets with a generation, places in the order of time, frontiers with gaps, windows."""
from dataclasses import dataclass
from typing import NamedTuple

END = float("inf")
BAND = 10 ** 6                                               # offset = generation * BAND + index in that region's log
CHUNK = 4                                                    # R and W are told in chunks (256 in the product)


def gen(offset):
    return int(offset) // BAND


def chunk_of(offset, start):
    """The first offset of a chunk, but never before the generation began: that would be the region's own past."""
    return max(start, offset - (offset - gen(offset) * BAND) % CHUNK)


class Entry(NamedTuple):
    """One fact about a task at a time."""
    task: object
    due: float
    offset: float
    void: object                                             # False, True, or "ran": remembered, not run
    amo: bool
    said: float                                              # where it was said first: differs from offset once it was transferred

    @property
    def key(self):
        return self.task, self.due

    @property
    def place(self):
        return self.due, self.offset


@dataclass(frozen=True)
class Frontier:
    """F: all places at or before `until` were decided, but for those in `gaps`, each (from, to]."""
    until: tuple
    gaps: tuple = ()

    def passed(self, place):
        return place <= self.until and not any(lo < place <= hi for lo, hi in self.gaps)

    def floor(self):
        return self.gaps[0][0] if self.gaps else self.until

    def is_behind(self, window):
        """Whether something of the window is still to be passed."""
        return self.until < window.until or any(lo < window.until and window.frontier.floor() < hi for lo, hi in self.gaps)


@dataclass(frozen=True)
class Window:
    """What the generations in `holders` may have published or not: beyond a copied frontier, up to a horizon."""
    holders: tuple                                           # they, and later those who inherited it
    newest: int                                              # the newest generation whose records it is about
    frontier: Frontier
    until: tuple
    gaps_count: bool = True

    def contains(self, place):
        if place[1] != END and gen(place[1]) > self.newest:
            return False                                     # said to a later generation: nobody before can have run it
        if not self.gaps_count:
            return self.frontier.until < place <= self.until
        return place <= self.until and not self.frontier.passed(place)

    def inherited_by_way_of(self, gens):
        return Window(tuple(sorted(set(self.holders) | set(gens))), self.newest, self.frontier, self.until, self.gaps_count)


@dataclass(frozen=True)
class State:
    """What a schedule's tick leaves behind: the run in progress and the occurrence that waits for its end."""
    running: object = None                                   # (nominal time, generation that started it)
    buffered: object = None
    doubt: tuple = ()                                        # generations that may have started what is buffered


START = Frontier((-1, END))


@dataclass(frozen=True)
class Checkpoint:
    gen: int
    tick: int
    a: float
    frontier: Frontier
    r: float
    w: float
    start: float                                             # the offset at which this generation begins
    since: float                                             # when it began
    cuts: dict
    withheld: tuple
    taken: dict
    states: dict
