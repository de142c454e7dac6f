"""Who speaks for the partition: a linearizable register over three sites, or, with two sites, an operator's decisions."""

HORIZON = 8
SKEW = 2                                                     # two sites: how far clocks may differ from the operator's


class Register:
    """Compare-and-set by epoch, with answers that may be lost."""
    has_horizon = True

    def __init__(self, world):
        self.world = world
        self.row = dict(epoch=1, speaker=world.names[0], gen=0, horizon=HORIZON, closed={}, speakers={0: world.names[0]})

    def read(self, region):
        """What the region can find out now; None without a majority."""
        return self.row if self.world.majority(region) else None

    def change(self, region, epoch, change):
        """None: no answer (it may have happened); else whether it was applied."""
        w = self.world
        if not w.majority(region) or w.rng.random() < 0.1:
            return None
        if self.row["epoch"] != epoch and w.ok("speaker"):
            return False
        change(self.row)
        return None if w.rng.random() < 0.1 else True

    def extend(self, region):
        until = self.world.now + HORIZON

        def extend(row):
            row["horizon"] = max(row["horizon"], until)
        answer = self.change(region, region.right[0], extend)
        if answer:
            region.horizon = max(region.horizon, until)
        return answer

    def grants(self, region):
        return self.world.majority(region) and self.row["speaker"] == region.name

    def adopt(self, region, planned):
        epoch = self.row["epoch"]
        if self.row["speaker"] == region.name:               # a SERIAL read: an earlier attempt was in doubt, and had happened
            return

        def adopt(row):
            row["closed"][row["gen"]] = None if planned else row["horizon"]
            row.update(epoch=row["epoch"] + 1, speaker=region.name, gen=row["gen"] + 1)
            row["speakers"][row["gen"]] = region.name
        self.change(region, epoch, adopt)

    def truth(self):
        return self.row


class Decisions:
    """Append-only rows written by an operator; nothing bounds what the other site does but his word (`attested`)."""
    has_horizon = False

    def __init__(self, world):
        self.world = world
        self.world.store(world.decisions, world.regions[world.names[0]], epoch=1, speaker=world.names[0], gen=0, closed={},
                         speakers={0: world.names[0]})
        for row in world.decisions.rows:
            row["seen"] |= set(world.names)

    def read(self, region):
        return max(self.world.visible(self.world.decisions, region), key=lambda row: row["epoch"])

    def extend(self, region):
        return self.read(region)["epoch"] == region.right[0]

    def grants(self, region):
        """Before a region speaks after any time out of touch, it has asked in both datacenters."""
        w = self.world
        in_touch = all(w.linked(region.name, n) for n in w.names if n != region.name)
        newest = max(w.decisions.rows, key=lambda row: row["epoch"]) if in_touch else self.read(region)
        return newest["speaker"] == region.name and (in_touch or region.wrote == newest["epoch"])

    def adopt(self, region, planned, attested=None):
        w, row = self.world, self.read(region)
        if row["speaker"] == region.name:
            return
        if planned and not all(w.linked(region.name, n) for n in w.names):
            return
        closed = dict(row["closed"])
        closed[row["gen"]] = None if planned else attested + SKEW
        new = w.store(w.decisions, region, epoch=row["epoch"] + 1, speaker=region.name, gen=row["gen"] + 1, closed=closed,
                      speakers={**row["speakers"], row["gen"] + 1: region.name})
        new["seen"] |= set(w.names) if planned else {region.name}
        region.wrote = new["epoch"]

    def truth(self):
        return max(self.world.decisions.rows, key=lambda row: row["epoch"])
