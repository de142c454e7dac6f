"""One owner: volatile; at most one holds the producer epoch, any number of zombies go on reading the log and writing blocks.

Commands: create(id, due), cancel(id, due), move(id, due, to): only if it has not run (its outcome depends on F, so it is resolved
into a plain `moved` record inside the tick's transaction), replace(id, due, to): runs at `to` whatever happened before.
"""
from .world import END

BUCKET, AHEAD, TICK = 10, 25, 4                              # TICK: most executions in one transaction


class Owner:
    def __init__(self, world):
        w = self.world = world
        w.epoch += 1
        self.epoch, c = w.epoch, w.checkpoint
        self.a, self.f = c["a"], c["f"]
        self.known = c["a"]                                  # offsets below this were applied by a predecessor
        self.next = c["r"]
        self.loaded = (int(self.f[0]) // BUCKET + 1) * BUCKET if self.f[0] >= 0 else 0
        self.near, self.far, self.unsettled, self.late, self.derived = {}, {}, {}, [], []
        self.sent = []                                       # entries written, not yet acknowledged
        self.held = set()
        self.load_bucket(self.loaded // BUCKET - 1)          # the bucket that F stands in
        self.end = len(w.log)
        self.recovering = True

    # --- timetable -------------------------------------------------------------------------------------------------
    def load_bucket(self, bucket):
        w = self.world
        entries = [e for block in w.timetable.get(bucket, []) for e in block]
        entries = [e for e in entries if e[2] < self.a or not w.ok("before-a")]
        if w.ok("pending"):
            entries += [e for e in self.sent if e[1] // BUCKET == bucket]
            entries += self.far.get(bucket, [])
        for e in entries:
            if (e[1], e[2]) > self.f:
                self.merge(e)

    def load(self):
        while self.loaded <= self.world.now + AHEAD:
            self.load_bucket(self.loaded // BUCKET)
            self.loaded += BUCKET

    def merge(self, entry):
        key, void = (entry[0], entry[1]), entry[3]
        old = self.near.get(key)
        if old is None or old[2] < entry[2]:
            if void and not self.world.ok("markers"):
                self.near.pop(key, None)
            else:
                self.near[key] = entry

    def place(self, task, due, offset, void):
        """A plain fact of the log: it goes to memory when near, to the timetable when far."""
        entry = (task, due, offset, void)
        if (due, offset) <= self.f or due < self.f[0]:
            if not void and (offset >= self.known or not self.world.ok("late")):
                self.late.append(entry)
                self.unsettled[(task, due, offset)] = due
        elif due < self.loaded:
            self.merge(entry)
            self.unsettled[(task, due, offset)] = due
        else:
            self.far.setdefault(due // BUCKET, []).append(entry)
            self.unsettled[(task, due, offset)] = None       # until acknowledged

    def flush(self):
        w = self.world
        for bucket in list(self.far):
            entries = self.far.pop(bucket)
            self.sent += entries
            w.in_flight.append((bucket, entries, self))
            if not w.ok("ack"):
                self.settle(entries)

    def acknowledged(self, entries):
        self.settle(entries)
        self.sent = [e for e in self.sent if e not in entries]

    def settle(self, entries):
        for task, due, offset, _ in entries:
            if self.unsettled.get((task, due, offset), 0) is None:
                del self.unsettled[(task, due, offset)]

    # --- log -------------------------------------------------------------------------------------------------------
    def apply(self, limit):
        while self.next < len(self.world.log) and limit > 0 and len(self.late) < TICK:
            self.apply_one(self.next, self.world.log[self.next])
            self.next += 1
            self.a = max(self.a, self.next)
            limit -= 1
        if self.next >= self.end:
            self.recovering = False

    def apply_one(self, o, record):
        kind, task, due = record[0], record[1], record[2]
        if kind == "create":
            self.place(task, due, o, False)
        elif kind == "cancel":
            self.place(task, due, o, True)
        elif kind in ("replace", "moved"):
            self.held.discard((task, due))
            self.place(task, due, o, True)
            self.place(task, record[3], o, False)
        elif kind == "move" and o >= self.known:             # resolved once, by whoever moves A over it
            live = self.near.get((task, due)) if due < self.loaded else None
            pending = due > self.f[0] and (due >= self.loaded or (live is not None and not live[3]))
            if pending and (task, due) not in self.held:
                self.derived.append(("moved", task, due, record[3]))
                if self.world.ok("hold"):
                    self.held.add((task, due))

    # --- time ------------------------------------------------------------------------------------------------------
    def tick(self):
        """One transaction: what is due, the records it derives, the checkpoint. Returns False when fenced."""
        w = self.world
        self.load()
        standing = self.recovering and w.ok("end-first")     # late commands go out meanwhile, F does not move
        f = self.f if standing else max(self.f, (w.now, END))
        waiting = sorted((e for e in self.near.values() if self.f < (e[1], e[2]) <= f and not e[3]), key=lambda e: (e[1], e[2]))
        due = []
        for e in waiting:
            if (e[0], e[1]) in self.held:                    # F may not pass what is held
                f = max(self.f, (e[1], e[2] - 1))
                break
            if len(due) + len(self.late) >= TICK:            # nor what this transaction has no room for
                f = max(self.f, (due[-1][1], due[-1][2] if w.ok("pair") else END) if due else self.f)
                break
            due.append(e)
        if self.epoch != w.epoch and w.ok("fence"):
            return False
        late, self.late = (self.late, []) if w.ok("budget") else (self.late[:1], self.late[1:])
        out = [(e[0], e[1], w.now, e[2]) for e in due + late]
        derived, self.derived, self.f = self.derived, [], f
        for key in [k for k, when in self.unsettled.items() if when is not None and (when, k[2]) <= f]:
            del self.unsettled[key]
        self.near = {k: e for k, e in self.near.items() if (e[1], e[2]) > f}
        r = min([k[2] for k in self.unsettled] + [self.next if w.ok("position") else self.a])
        if not w.ok("replay"):
            r = self.a
        # the commit; a crash is either before or after it, unless atomicity is broken
        w.published += out
        if not w.ok("atomic") and w.rng.random() < 0.2:
            return False
        w.log += derived
        w.checkpoint = dict(a=self.a, f=self.f, r=r)
        return True
