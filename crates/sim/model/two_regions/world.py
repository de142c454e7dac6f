"""Regions, the links between them, and the tables that Cassandra replicates."""
from .places import BAND, END
from .register import HORIZON, Decisions, Register


class Region:
    def __init__(self, name):
        self.name, self.up, self.stopped = name, True, False    # stopped: by an operator, or because its Kafka forgot
        self.wrote = None                                    # two sites: the epoch of the decision that was written here, since it is up
        self.log, self.published, self.sink, self.checkpoint = [], [], 0, None
        self.right, self.horizon = None, -1                  # (epoch, generation): what this region believes it may say
        self.owner, self.zombies = None, []
        self.closed, self.starts = {}, {}                    # by generation: final checkpoint (or None), first index in the log
        self.offers = {}                                     # by (generation, to generation): see transfer.py
        self.lost, self.lost_published = {}, []              # by generation: index from which its Kafka has forgotten
        self.snapshots = []
        self.draining, self.asked = False, False             # asked: the register was asked to change; until it is known how, F stands

    def generation_range(self, g):
        """The indices of the log that are of generation g."""
        later = [s for h, s in self.starts.items() if h > g]
        return self.starts[g], min(later, default=len(self.log))


class Table:
    """Rows that land at home, and later elsewhere, in any order."""
    def __init__(self):
        self.rows, self.moving, self.of_bucket, self.of_task = [], [], {}, {}


class World:
    def __init__(self, rng, broken, names, two_sites):
        self.rng, self.broken, self.now = rng, broken, 0
        self.names, self.two_sites = names, two_sites
        self.regions = {n: Region(n) for n in names}
        self.sites = list(names) + ([] if two_sites or len(names) > 2 else ["W"])
        self.cut = set()                                     # links that are cut: frozensets of two sites
        self.blocks, self.revisions, self.copies, self.offered, self.words, self.decisions = (Table() for _ in range(6))
        self.tables = [self.blocks, self.revisions, self.copies, self.offered, self.words, self.decisions]
        self.commands, self.windows, self.dead, self.adoptions = [], [], set(), {}
        self.completions, self.doubted, self.schedules = {}, set(), {}
        self.speech = (Decisions if two_sites else Register)(self)
        first = self.regions[names[0]]
        first.right, first.horizon = (1, 0), HORIZON
        for r in self.regions.values() if two_sites else ():
            r.horizon = END                                  # no horizon: an operator's word instead

    def ok(self, rule):
        return rule != self.broken

    def linked(self, x, y):
        up = all(self.regions[z].up for z in (x, y) if z in self.regions)
        return up and frozenset((x, y)) not in self.cut

    def majority(self, r):
        others = [s for s in self.sites if s != r.name and self.linked(r.name, s)]
        return r.up and 2 * (1 + len(others)) > len(self.sites)

    def partner(self, r):
        """The second datacenter of a quorum read; with two data regions what was reached is in both, so none is asked."""
        if len(self.names) < 3 or not self.ok("read-quorum"):
            return r.name
        others = [n for n in self.names if n != r.name and self.linked(r.name, n)]
        return self.rng.choice(others) if others else None

    # --- replication -----------------------------------------------------------------------------------------------
    def store(self, table, region, owner=None, **row):
        row.update(seen=set(), home=region.name, when={}, owner=owner, reached=False)
        table.rows.append(row)
        table.moving.append(row)
        for e in row.get("entries", ()):
            table.of_bucket.setdefault(e.due // 10, []).append((row, e))
            table.of_task.setdefault(e.key, []).append((row, e))
        return row

    def replicate(self, quiet):
        for table in self.tables:
            table.moving = [row for row in table.moving if self.moves(row, quiet)]

    def moves(self, row, quiet):
        """Takes one row a step further; answers whether there is more to come."""
        home = row["home"]
        if home not in row["seen"]:
            if row.get("dead"):
                return False
            if self.regions[home].up and self.rng.random() < (0.95 if quiet else 0.5):
                self.lands(row, home)
            return True
        for other in self.names:
            if other not in row["seen"] and any(self.linked(n, other) for n in row["seen"]) and self.rng.random() < (0.95 if quiet else 0.4):
                self.lands(row, other)
        return len(row["seen"]) < len(self.names)

    def lands(self, row, name):
        row["seen"].add(name)
        row["when"][name] = self.now
        is_first = len(row["seen"]) == 1
        is_reached = len(row["seen"]) == 2
        if is_first and row["owner"]:
            row["owner"].settled(row)
        if is_reached:
            row["reached"] = True
            if row["owner"]:
                row["owner"].reached(row)

    def visible(self, table, region):
        return [row for row in table.rows if region.name in row["seen"]]

    def visible_at_quorum(self, table, region, partner):
        return [row for row in table.rows if region.name in row["seen"] or partner in row["seen"]]

    def offset(self, g, index):
        return (g * BAND if self.ok("band") else 0) + index
