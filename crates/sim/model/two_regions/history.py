"""One random history: producers, workers, crashes, zombies, lost and cut regions, adoption, return, hand-over."""
import random

from .check import check
from .owner import Owner
from .places import END
from .speaker import closes, forgets, loses_datacenter, loses_right, speaks
from .transfer import transfers
from .world import World

MODES = {                                                    # names of the regions, two sites without a witness, a true attestation
    "witness": ("AB", False, True),
    "three": ("ABC", False, True),
    "attested": ("AB", True, True),
    "unattested": ("AB", True, False),
}
EXPECTED = {"unattested": ("repeats", "overlaps", "moves", "cancels")}           # a false word of an operator: both fire
QUIET, SETTLED = 170, 90                                     # steps at the end without new faults, and without hand-overs


class Incident:
    """A region is lost, or cut off, or nothing is wrong; another adopts; and what was wrong is mended."""
    def __init__(self, rng, begins, mode):
        self.begins = begins
        kinds = ["down", "down", "cut", "cut", "none", "forgets"]
        self.kind = rng.choice(["down", "cut", "cut"] if mode in ("attested", "unattested") else kinds)
        self.adopt_after, self.back_after = rng.randrange(1, 25), rng.randrange(1, 50)
        self.comes_back_short = rng.random() < 0.25
        self.victim, self.adopted, self.is_over, self.truth = None, None, False, None


class History:
    def __init__(self, seed, broken, mode):
        self.rng = rng = random.Random(seed)
        names, two_sites, self.attests = MODES[mode]
        self.mode, self.world = mode, World(rng, broken, names, two_sites)
        self.steps = rng.randrange(60, 200)
        self.incidents, at = [], rng.randrange(15, 60)
        while at < self.steps and len(self.incidents) < 3 and rng.random() < 0.85:
            self.incidents.append(Incident(rng, at, mode))
            at += rng.randrange(20, 80)
        self.never_back = rng.random() < 0.15
        self.hands_back = rng.random() < 0.6
        self.pace = {n: rng.choice([2, 6, 6]) for n in names}
        self.ids, self.tasks, self.seen_published, self.due_completions = 0, [], {}, []
        self.unacknowledged = []

    # --- what is said ----------------------------------------------------------------------------------------------
    def say(self, r, record):
        cmd = dict(rec=record, region=r.name, index=len(r.log), at=self.world.now, acked=False)
        self.world.commands.append(cmd)
        self.unacknowledged.append(cmd)
        r.log.append(record)

    def command(self, r):
        w, rng = self.world, self.rng
        kind = rng.choice(["create"] * 6 + ["cancel", "move", "replace", "repeat"])
        due, amo = max(0, w.now + rng.choice([-3, 0, 1, 2, 5, 12, 30, 60])), rng.random() < 0.4
        if rng.random() < 0.03 and len(w.schedules) < 3:
            name = f"s{len(w.schedules)}"
            record = ("schedule", name, w.now + rng.randrange(1, 8) + 0.25, rng.choice([3, 6, 9]), rng.choice(["skip", "buffer", "allow"]),
                      rng.random() < 0.3, (-1, END))
            w.schedules[name] = (record, r.name)
        elif kind == "create" or not self.tasks:
            self.ids += 1
            record = ("create", self.ids, due, amo)
            self.tasks.append([self.ids, due, amo])
        else:
            record = self.about(rng.choice(self.tasks[-8:]), kind, due)
        self.say(r, record)

    def about(self, t, kind, due):
        if kind == "repeat":
            return ("create", t[0], t[1], t[2])
        if kind == "cancel":
            return ("cancel", t[0], t[1])
        to = due + self.rng.random() / 2 + 0.001             # distinct from any other due time
        record = (kind, t[0], t[1], to, t[2])
        if kind == "replace":
            t[1] = to
        return record

    def produce(self):
        w = self.world
        speaking = w.regions[w.speech.truth()["speaker"]]
        for _ in range(self.rng.randrange(0, 3)):
            homes = [r for r in w.regions.values() if r.up and r.starts]
            if speaking.up and speaking.right and speaking.starts and self.rng.random() < 0.7:
                self.command(speaking)
            elif homes and self.rng.random() < 0.5:
                self.command(self.rng.choice(homes))

    def work(self):
        """Workers of a region end the runs that it started, and say so in its log; a lost region's say nothing."""
        w = self.world
        for r in w.regions.values():
            for p in r.published[self.seen_published.get(r.name, 0):]:
                if p["task"] in w.schedules:
                    self.due_completions.append((w.now + self.rng.randrange(1, 20), r, p["gen"], p["task"], p["due"]))
            self.seen_published[r.name] = len(r.published)
        for item in [x for x in self.due_completions if x[0] <= w.now]:
            _, r, g, name, nominal = item
            if not r.up and w.speech.truth()["gen"] == g:
                continue                                     # its workers come back with it, unless another region was asked to go on
            self.due_completions.remove(item)
            if r.up:
                r.log.append(("completed", name, nominal))
                w.completions.setdefault((name, nominal), w.now)

    def acknowledge(self):
        """Callers that asked for durability in both regions are answered on the W that was copied."""
        for cmd in self.unacknowledged[:]:
            r = self.world.regions[cmd["region"]]
            g = max((g for g, start in r.starts.items() if start <= cmd["index"]), default=None)
            if cmd.get("gone") or g is None or g in r.closed:
                self.unacknowledged.remove(cmd)
            elif r.owner and r.owner.gen == g:
                known = r.owner.w if not self.world.ok("ack-copied") else r.owner.copied.w if r.owner.copied else 0
                if self.world.offset(g, cmd["index"]) < known:
                    cmd["acked"] = True
                    self.unacknowledged.remove(cmd)

    # --- what goes wrong -------------------------------------------------------------------------------------------
    def faults(self, step):
        w = self.world
        for i in self.incidents:
            if not i.is_over and i.begins <= step:
                self.goes_on(i, step)
                break
        else:
            if self.rng.random() < 0.03 and not w.two_sites:
                x, y = self.rng.sample(w.sites, 2)
                w.cut ^= {frozenset((x, y))}

    def goes_on(self, i, step):
        w = self.world
        if i.victim is None:
            i.begins = step
            i.victim = w.regions[w.speech.truth()["speaker"]]
            self.strikes(i)
        if i.adopted is None and step >= i.begins + i.adopt_after:
            self.adopt_from(i)
            if w.speech.truth()["speaker"] != i.victim.name:
                i.adopted = step
        if i.adopted is not None and step >= i.adopted + i.back_after or step > i.begins + 70:
            self.heals(i)

    def strikes(self, i):
        w, r = self.world, i.victim
        if i.kind == "down":
            loses_datacenter(r)
            if w.two_sites:
                loses_right(r)
        elif i.kind == "cut":
            w.cut |= {frozenset((r.name, s)) for s in w.sites if s != r.name}
        elif i.kind == "forgets":
            forgets(w, r)

    def adopt_from(self, i):
        w = self.world
        heirs = [r for r in w.regions.values() if r is not i.victim and r.up and not r.stopped]
        if not heirs:
            return
        heir = self.rng.choice(heirs)
        if not w.two_sites:
            w.speech.adopt(heir, False)
            return
        if self.attests and i.victim.up:
            i.victim.stopped, i.victim.owner, i.victim.zombies = True, None, []
        w.speech.adopt(heir, False, attested=w.now)

    def heals(self, i):
        i.is_over = True
        self.world.cut = set()
        r = i.victim
        if not r.up and not self.never_back:
            if i.comes_back_short:
                forgets(self.world, r)
            r.up = True

    # --- a step ----------------------------------------------------------------------------------------------------
    def region(self, r, quiet):
        w, rng = self.world, self.rng
        if rng.random() < 0.8 or quiet:
            speaks(w, r)
        closes(w, r)
        transfers(w, r)
        if r.right and r.owner is None and not r.stopped:
            o = Owner(w, r)
            r.owner = None if o.is_dead else o
        for o in [x for x in [r.owner] + r.zombies if x]:
            o.apply(10 ** 9 if quiet else rng.randrange(0, self.pace[r.name]))
            if rng.random() < 0.5 or quiet:
                o.flush()
        if r.owner and r.owner.region_epoch != (r.right or (0,))[0]:
            r.zombies.append(r.owner)
            r.owner = None
        self.ticks(r, quiet)
        if not quiet and r.owner and rng.random() < 0.08:
            self.owner_fails(r)

    def ticks(self, r, quiet):
        w, o = self.world, r.owner
        if o and r.asked and w.ok("frozen"):
            pass
        elif o and r.draining and o.rests() and not r.asked:  # the last tick: F stands until its copy is with both
            if o.copying is None and (o.copied is None or o.copied.tick != o.tick_number):
                o.copying = w.store(w.copies, r, o, checkpoint=r.checkpoint)
        elif o and (self.rng.random() < 0.7 or quiet) and not o.tick():
            r.owner = None
        for z in list(r.zombies):
            if self.rng.random() < 0.3 and not z.tick() and self.rng.random() < 0.5:
                r.zombies.remove(z)

    def owner_fails(self, r):
        if self.rng.random() < 0.5:
            r.zombies.append(r.owner)                        # paused: lives on without its lease
        else:
            for row in self.world.blocks.moving + self.world.revisions.moving:
                if row["owner"] is r.owner and not row["seen"] and self.rng.random() < 0.6:
                    row["dead"] = True
        r.owner = None

    def hands_over(self, step):
        """A planned hand-over, home or anywhere."""
        w = self.world
        speaking = w.regions[w.speech.truth()["speaker"]]
        if step >= self.steps + QUIET - SETTLED:
            speaking.draining = False
            return
        others = [r for r in w.regions.values() if r is not speaking and r.up]
        calm = not w.cut and all(i.is_over or i.begins > step for i in self.incidents)
        if self.hands_back and calm and others and speaking.right and step > self.steps * 0.3 and self.rng.random() < 0.05:
            speaking.draining = True
        if speaking.draining and speaking.right and speaking.owner and others and (speaking.owner.is_sealed() or not w.ok("drain")):
            speaking.asked = True
            w.speech.adopt(self.rng.choice(others), True)
            if self.rng.random() < 0.3:
                self.hands_back = False

    def mended(self):
        """Faults are over: what is wrong is mended, by an operator where it must be."""
        w = self.world
        w.cut = set()
        for r in w.regions.values():
            r.up = r.up or not self.never_back
        speaking = w.regions[w.speech.truth()["speaker"]]
        if not speaking.up or speaking.stopped and speaking.right:
            heirs = [r for r in w.regions.values() if r.up and r is not speaking]
            if heirs:
                w.speech.adopt(heirs[0], False, **({"attested": w.now} if w.two_sites else {}))

    def run(self):
        w = self.world
        for step in range(self.steps + QUIET):
            quiet = step >= self.steps
            w.now += self.rng.randrange(0, 6 if quiet else 3)
            if quiet:
                self.mended()
            else:
                self.faults(step)
                self.produce()
            self.work()
            for r in w.regions.values():
                if r.up:
                    self.region(r, quiet)
            self.hands_over(step)
            w.replicate(quiet)
            self.acknowledge()
        return check(w)


def run(seed, broken=None, mode="witness"):
    return History(seed, broken, mode).run()
