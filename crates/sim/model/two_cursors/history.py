"""One random history: commands, crashes, zombies, writes that land late or never."""
import random

from .check import check
from .owner import Owner
from .world import World


def run(seed, broken=None, mode=""):
    rng = random.Random(seed)
    w = World(rng, broken)
    owner, zombies, ids = Owner(w), [], 0
    tasks = []
    def command():
        nonlocal ids
        kind = rng.choice(["create"] * 6 + ["cancel", "move", "replace"])
        due = w.now + rng.choice([-3, 0, 1, 2, 5, 12, 30, 60, 90])
        if kind == "create" or not tasks:
            ids += 1
            w.log.append(("create", ids, max(0, due)))
            tasks.append([ids, max(0, due)])
            return
        t = rng.choice(tasks[-8:])
        if kind == "cancel":
            w.log.append(("cancel", t[0], t[1]))
        else:
            to = max(0, due) + rng.random() / 2 + 0.001      # distinct from any other due time
            w.log.append((kind, t[0], t[1], to))
            if kind == "replace":
                t[1] = to
    steps = rng.randrange(40, 140)
    pace = {"owner": rng.choice([2, 6, 6]), "zombie": rng.choice([2, 6, 12])}   # how fast each reads the log
    for step in range(steps + 600):
        quiet = step >= steps                                # then no more faults: everything must come out
        for _ in range(0 if quiet else rng.randrange(0, 4)):
            command()
        w.now += rng.randrange(0, 4)
        if owner is None:
            owner = Owner(w)
        for o in [owner] + zombies:
            o.apply(10 ** 9 if quiet else rng.randrange(0, pace["owner" if o is owner else "zombie"]))
            if rng.random() < 0.5 or quiet:
                o.flush()
        if rng.random() < 0.7 or quiet:
            if not owner.tick():
                owner = None
        for z in list(zombies):
            if rng.random() < 0.3 and not z.tick():
                if rng.random() < 0.5:
                    zombies.remove(z)                        # it noticed; others go on writing blocks
        for write in list(w.in_flight):
            if rng.random() < (0.9 if quiet else 0.4):
                w.in_flight.remove(write)
                w.land(write)
        if not quiet and owner and rng.random() < 0.12:
            if rng.random() < 0.5:
                zombies.append(owner)                        # paused: lives on without its lease
            else:                                            # dead: its unsent writes are gone, its sent ones may be too
                w.in_flight = [x for x in w.in_flight if x[2] is not owner or rng.random() < 0.6]
            owner = None
    return check(w)
