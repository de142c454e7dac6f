"""One owner of the partition in a region: it takes over, reads the log, and ticks. The engine of two_cursors with persist = all."""
from .memory import Memory
from .places import END, START, Checkpoint, Entry, State, Window, chunk_of
from .schedules import Book, Schedule
from .tick import TICK, commit


class Owner:
    def __init__(self, world, region):
        w = self.world = world
        self.region, self.is_dead = region, True
        region.sink += 1
        self.epoch, (self.region_epoch, self.gen) = region.sink, region.right
        self.partner = w.partner(region)
        if self.partner is None and self.gen > 0:
            return                                           # a quorum is needed to begin
        c = region.checkpoint
        if c is None or c.gen < self.gen or not w.ok("seed-once") and self.gen > 0:
            c = region.checkpoint = self.seed()
        if w.ok("behind-copy") and any(x["checkpoint"].gen == c.gen and x["checkpoint"].tick > c.tick for x in w.visible(w.copies, region)):
            region.stopped = True                            # this Kafka has lost what it acknowledged: another must adopt
            return
        self.is_dead = False
        self.base, self.start, self.since = w.offset(self.gen, 0), c.start, c.since
        self.a, self.frontier, self.cuts = c.a, c.frontier, dict(c.cuts)
        self.withheld, self.taken, self.tick_number = c.withheld, dict(c.taken), c.tick
        self.w, self.known, self.next = c.w, c.a, c.r
        self.derived, self.held = [], set()
        self.copying, self.copied = None, None
        self.memory = Memory(self)
        self.book = Book(self, c.states)
        self.end = self.base + len(region.log)
        self.recovering = True

    # --- take-over -------------------------------------------------------------------------------------------------
    def seed(self):
        """The first checkpoint of a generation, from the newest copy that a quorum has."""
        w, r = self.world, self.region
        copies = [row["checkpoint"] for row in w.visible_at_quorum(w.copies, r, self.partner) if row["checkpoint"].gen < self.gen]
        c = max(copies, key=lambda c: (c.gen, c.tick), default=None)
        if c is None:
            c = Checkpoint(0, 0, 0, START, 0, 0, 0, 0, {}, (), {}, {})
        if self.gen == 0:
            r.starts[0] = 0
            return c
        closed = w.speech.read(r) or w.speech.truth()
        between = [g for g in range(c.gen, self.gen)] if w.ok("skipped") else [c.gen]
        horizons = [closed["closed"].get(g) for g in between]
        withheld, states = c.withheld, c.states
        if any(h is not None for h in horizons):             # else all of them were handed over: the copy is exact
            until = max(h for h in horizons if h is not None)
            if w.ok("inherited"):
                withheld = tuple(v.inherited_by_way_of(between) for v in withheld)
            window = Window(tuple(between), between[-1], c.frontier, (until, END), w.ok("gap-window"))
            withheld += (window,)
            w.windows.append(window)
            states = {n: State(s.running, s.buffered, tuple(sorted(set(s.doubt) | set(between))) if s.buffered is not None else ())
                      for n, s in states.items()}
        w.adoptions[self.gen] = dict(copy=c, between=between, at=w.now)
        index = len(r.log) if w.ok("own-past") else self.untold_from()
        r.starts[self.gen] = index
        a = w.offset(self.gen, index)
        taken = {} if w.ok("taken-again") else {**c.taken}
        return Checkpoint(self.gen, c.tick + 1, a, c.frontier, a, a, a, w.now, {**c.cuts, c.gen: c.w}, withheld, taken, states)

    def untold_from(self):
        """What a region would begin at that takes for its future what it has not transferred of its past."""
        offers = [offer["next"] for (g, to), offer in self.region.offers.items()]
        return max(offers, default=len(self.region.log))

    # --- word ------------------------------------------------------------------------------------------------------
    def words(self, gens):
        """Word of all those generations, or None."""
        seen = {row["gen"]: row for row in self.world.visible(self.world.words, self.region)}
        return [seen[g] for g in gens] if all(g in seen for g in gens) else None

    # --- log -------------------------------------------------------------------------------------------------------
    def apply(self, limit):
        log = self.region.log
        while self.next - self.base < len(log) and limit > 0 and len(self.memory.late) < TICK:
            self.partner = self.world.partner(self.region)
            if self.partner is None and self.gen > 0:
                return                                       # look-ups need a quorum
            o, record = self.next, log[int(self.next - self.base)]
            if record[0] == "transferred":
                self.transferred(o, *record[1:])
            else:
                self.apply_one(o, o, record)
            self.next += 1
            self.a = max(self.a, self.next)
            limit -= 1
        if self.next >= self.end:
            self.recovering = False

    def facts(self, task, due, below, forgets=False):
        return self.memory.facts(task, due, below, self.partner, forgets)

    def apply_one(self, o, said, record):
        kind, task = record[0], record[1]
        if kind == "schedule":
            _, name, first, every, policy, amo, behind = record
            self.book.created(Schedule(name, first, every, policy, amo, o, behind))
        elif kind == "completed":
            if o >= self.known:
                self.book.completed(task, record[2])
        elif kind == "create":
            facts = self.facts(task, record[2], o, forgets=True)
            if not facts or facts[-1].void is True:
                self.memory.place(Entry(task, record[2], o, False, record[3], said))
        elif kind == "cancel":
            self.memory.place(Entry(task, record[2], o, True, False, said))
        elif kind in ("replace", "moved"):
            self.held.discard((task, record[2]))
            self.memory.place(Entry(task, record[2], o, True, False, said))
            self.memory.place(Entry(task, record[3], o, False, record[4], said))
        elif kind == "move" and o >= self.known:
            self.asked_to_move(o, record)

    def asked_to_move(self, o, record):
        _, task, due, to, amo = record
        facts = self.facts(task, due, o)
        waits = facts and not facts[-1].void and not self.frontier.passed((due, facts[-1].offset))
        if waits and (task, due) not in self.held:
            self.derived.append(("moved", task, due, to, amo))
            self.held.add((task, due))

    def transferred(self, o, origin, record):
        """A command of an earlier log, at its place in this one: it gives way to what was said later about the same task."""
        kind, task = record[0], record[1]
        if kind in ("schedule", "completed"):
            self.apply_one(o, origin, record)
            return
        facts = self.facts(task, record[2], o)
        said = (lambda e: e.said) if self.world.ok("said-first") else (lambda e: e.offset)
        if any(said(e) > origin for e in facts) and self.world.ok("said-later"):
            return
        is_new = not facts or facts[-1].void is True
        if kind == "ran":
            if is_new:
                self.memory.place(Entry(task, record[2], o, "ran", record[3], origin))
        elif kind == "create":
            if is_new:
                self.memory.place(Entry(task, record[2], o, False, record[3], origin))
        elif kind == "moved" and self.world.ok("asked-again"):
            self.apply_one(o, origin, ("move",) + record[1:])
        elif kind in ("replace", "moved"):
            self.memory.place(Entry(task, record[2], o, True, False, origin))
            if not self.facts(task, record[3], o):
                self.memory.place(Entry(task, record[3], o, False, record[4], origin))
        else:
            self.apply_one(o, origin, record)

    # --- writes ----------------------------------------------------------------------------------------------------
    def flush(self):
        self.memory.flush()
        self.book.flush()

    def settled(self, row):
        if "entries" in row:
            self.memory.settled(row["entries"])
        elif "schedule" in row:
            self.book.unsettled.discard(row["schedule"].offset)
            if not self.world.ok("reach"):
                self.book.unreached.discard(row["schedule"].offset)

    def reached(self, row):
        if "entries" in row:
            self.memory.reached(row["entries"])
        elif "schedule" in row:
            self.book.unreached.discard(row["schedule"].offset)
        elif self.copying is row:
            self.copied, self.copying = row["checkpoint"], None

    # --- cursors ---------------------------------------------------------------------------------------------------
    def lowest(self, offsets):
        """The lowest of some offsets, told by its chunk; where all is done, what is read next."""
        lowest = min(offsets, default=None)
        if lowest is None:
            return self.next
        start = self.start if self.world.ok("chunk-floor") else 0
        return min(self.next, chunk_of(lowest, start))

    def cursors(self):
        """R and W as of now."""
        waits = [k[2] for k in self.memory.unreached] + list(self.book.unreached)
        reached = max(self.w, self.lowest(waits))
        unsettled = [k[2] for k in self.memory.unsettled] + list(self.book.unsettled)
        replay = self.lowest(unsettled)
        return (min(replay, reached) if self.world.ok("replay-w") else replay), reached

    def rests(self):
        """Nothing is left to do: what a planned hand-over waits for."""
        m, b, w = self.memory, self.book, self.world
        if any(row["n"] >= self.taken.get(row["gen"], 0) for row in w.visible(w.offered, self.region) if row["to"] == self.gen):
            return False
        undone = m.unreached or b.unreached or m.pending or b.pending or m.late or self.derived or self.held or self.recovering
        return self.epoch == self.region.sink and self.w == self.a == self.next and not undone

    def is_sealed(self):
        """The last tick's copy is with both, and holds everything that was read."""
        return bool(self.copied and self.copied.tick == self.tick_number and self.rests())

    def tick(self):
        return commit(self)
