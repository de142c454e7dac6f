"""What an owner knows of tasks: the timetable, what it has written that is not acknowledged, and what is near in memory."""
from .places import gen

BUCKET, LOOK = 10, 25
DEDUPE = 40                                                  # how long after its time a task is remembered by creations


class Memory:
    def __init__(self, owner):
        self.owner, self.world, self.region = owner, owner.world, owner.region
        self.near, self.pending, self.sent, self.late = {}, {}, [], []
        self.unsettled, self.unreached = {}, {}              # (task, due, offset) -> True until acknowledged, False: until F passes
        self.loaded = int(max(0, owner.frontier.floor()[0])) // BUCKET * BUCKET

    # --- the timetable ---------------------------------------------------------------------------------------------
    def knows(self, offset, obeys_cuts=True):
        o, w = self.owner, self.world
        if gen(offset) < o.gen and (not w.ok("cut") or not obeys_cuts):
            return True
        if gen(offset) == gen(o.base) or not w.ok("band"):
            return offset < o.a
        return offset < o.cuts.get(gen(offset), 0)

    def sees(self, row, offset, partner):
        return self.region.name in row["seen"] or gen(offset) < self.owner.gen and partner in row["seen"]

    def bucket(self, bucket, partner):
        stored = self.world.blocks.of_bucket.get(bucket, ())
        own = [e for e in self.written() if e.due // BUCKET == bucket]
        return [e for row, e in stored if self.sees(row, e.offset, partner) and self.knows(e.offset)] + own

    def written(self):
        return self.sent + [e for es in self.pending.values() for e in es]

    def load(self, until):
        """Loads what is near; stops where a quorum is needed and cannot be asked."""
        while self.loaded <= until + LOOK:
            partner = self.world.partner(self.region)
            if partner is None and self.owner.gen > 0:
                return
            for e in self.bucket(self.loaded // BUCKET, partner):
                if not self.owner.frontier.passed(e.place):
                    self.merge(e)
            self.loaded += BUCKET

    def merge(self, e):
        old = self.near.get(e.key)
        if old is None or old.offset < e.offset:
            self.near[e.key] = e

    # --- what is said ----------------------------------------------------------------------------------------------
    def place(self, e):
        """A fact of the log: to memory when near, to the timetable, to what is late."""
        o, keeps = self.owner, self.world.ok("late-kept")
        if not o.frontier.passed(e.place):
            if e.due < self.loaded:
                self.merge(e)
            self.write(e)
            return
        if e.void is not False:
            if keeps or e.void == "ran":
                self.write(e)
        elif e.offset >= o.known:
            self.late.append(e)
            if keeps:
                self.write(e)
            else:
                self.unsettled[e[:3]] = False
                if o.gen == 0:
                    self.unreached[e[:3]] = False
        elif keeps:
            self.write(e)

    def write(self, e):
        self.pending.setdefault(e.due // BUCKET, []).append(e)
        self.unsettled[e[:3]] = self.unreached[e[:3]] = True

    def facts(self, task, due, below, partner, forgets):
        """All that is known of a task at a time, oldest first; creations ask no further back than the dedupe window."""
        floor = self.owner.frontier.floor() if self.world.ok("gap-memory") else self.owner.frontier.until
        if forgets and due < floor[0] - DEDUPE:
            return []
        stored = [e for row, e in self.world.blocks.of_task.get((task, due), ())
                  if self.sees(row, e.offset, partner) and self.knows(e.offset, self.world.ok("find-uncut"))]
        es = stored + [e for e in self.written() + list(self.late) if e.key == (task, due)]
        if (task, due) in self.near:
            es.append(self.near[(task, due)])
        return sorted({e for e in es if e.offset < below}, key=lambda e: (e.offset, not e.void))

    # --- writes ----------------------------------------------------------------------------------------------------
    def flush(self):
        for bucket in list(self.pending):
            es = self.pending.pop(bucket)
            self.sent += es
            self.world.store(self.world.blocks, self.region, self.owner, entries=es)

    def settled(self, entries):
        for e in entries:
            self.unsettled.pop(e[:3], None)
            if not self.world.ok("reach"):
                self.unreached.pop(e[:3], None)
        gone = set(entries)
        self.sent = [e for e in self.sent if e not in gone]

    def reached(self, entries):
        for e in entries:
            self.unreached.pop(e[:3], None)

    def passed(self, frontier):
        """F has moved: what it passed needs no copy elsewhere, this tick's copy says it; unless an earlier generation may
        still be transferred: then what was said and run here must be remembered wherever the next speaker is."""
        if self.owner.gen == 0 or not self.world.ok("kept-reach"):
            self.unreached = {k: needs for k, needs in self.unreached.items() if not frontier.passed((k[1], k[2]))}
        self.unsettled = {k: needs for k, needs in self.unsettled.items() if needs or not frontier.passed((k[1], k[2]))}
        self.near = {k: e for k, e in self.near.items() if not frontier.passed(e.place)}
