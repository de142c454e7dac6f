"""What a history must have kept. Judges by what was said and what came out; asks owners for nothing but where they stand at the end."""
from .places import BAND, END, gen
from .schedules import ABANDON
from .memory import DEDUPE

BEHIND, IDLE = 80, 130                                       # how far F, and a schedule, may be behind at the end


class Story:
    """What was said and what was published, by task and time."""
    def __init__(self, w):
        self.w = w
        self.speaker = w.regions[w.speech.truth()["speaker"]]
        self.published = [p for r in w.regions.values() for p in r.lost_published + r.published]
        self.lost = {id(p) for r in w.regions.values() for p in r.lost_published}
        self.final = max((r.checkpoint for r in w.regions.values() if r.checkpoint), key=lambda c: c.gen)
        self.known, self.voided, self.about = {}, {}, {}
        for cmd in w.commands:
            self.hear(cmd)
        self.seen = {}
        for p in self.published:
            self.seen.setdefault((p["task"], p["due"]), []).append(p)

    def hear(self, cmd):
        rec = cmd["rec"]
        kind = rec[0]
        starts = self.w.regions[cmd["region"]].starts
        cmd["gen"] = max([g for g, start in starts.items() if start <= cmd["index"]], default=min(starts, default=0))
        if kind in ("create", "replace", "move"):
            self.known.setdefault((rec[1], rec[2 if kind == "create" else 3]), []).append(cmd)
        if kind in ("cancel", "replace", "move"):
            self.voided.setdefault((rec[1], rec[2]), []).append(cmd)
        if kind == "move":
            self.voided.setdefault((rec[1], rec[3]), []).append(cmd)
        if kind != "schedule":
            for t in rec[2:3] if kind in ("create", "cancel") else rec[2:4]:
                self.about.setdefault((rec[1], t), []).append((cmd["gen"] * BAND + cmd["index"], kind))

    def is_scheduled(self, key):
        return key[0] in self.w.schedules

    def in_window(self, p):
        return any(p["gen"] in v.holders and v.contains((p["due"], p["offset"])) for v in self.w.windows)


def check(w):
    story = Story(w)
    for checker in (stuck, early_or_phantom, repeats, cancels, moves, lost, overlaps, schedules_go_on):
        why = checker(w, story)
        if why:
            return f"{checker.__name__}: {why}"
    return None


def stuck(w, story):
    r, c, row = story.speaker, story.speaker.checkpoint, w.speech.truth()
    if r.up and (c is None or c.gen != row["gen"] or c.frontier.floor()[0] < w.now - BEHIND):
        return f"{r.name} {c and (c.gen, c.frontier, c.a)} at {w.now}, register {row['speaker']} {row['gen']}"


def early_or_phantom(w, story):
    for p in story.published:
        key = (p["task"], p["due"])
        if p["at"] < p["due"]:
            return f"early {p}"
        if key not in story.known and not story.is_scheduled(key):
            return f"phantom {p}"


# --- repeats -----------------------------------------------------------------------------------------------------------
def repeats(w, story):
    for key, ps in story.seen.items():
        if len(ps) == 1 or key in story.voided:              # cancelled and created again: two generations of one task
            continue
        ps = sorted(ps, key=lambda p: (p["gen"], p["at"]))
        for i, first in enumerate(ps):
            for second in ps[i + 1:]:
                if not may_repeat(w, story, key, first, second):
                    return f"windows {w.windows}: {first} and {second}"


def may_repeat(w, story, key, first, second):
    said = story.known.get(key, [])
    if first["said"] != second["said"] and second["at"] > key[1] + DEDUPE:
        return True                                          # created again when nobody had to remember it any more
    if id(first) in story.lost:
        return forgotten(w, first, second)
    if first["gen"] == second["gen"]:
        return False
    again = len(said) > 1
    if first["amo"] and not again:
        return False
    if again and not was_told(w, story, key, first, second):
        return True                                          # created again elsewhere, and there nobody had heard of it
    if first["amo"]:
        return False
    return story.in_window(first) or key in w.doubted


def forgotten(w, first, second):
    """Its Kafka has forgotten what it acknowledged: what a copy says it had passed must not run again all the same."""
    if first["gen"] == second["gen"]:
        return False                                         # an owner that is behind its copy must stop
    copy = w.adoptions[second["gen"]]["copy"]
    return not (copy.gen == first["gen"] and first["tick"] <= copy.tick and first["offset"] < second["cuts"].get(first["gen"], 0))


def was_told(w, story, key, first, second):
    """Whether the region that ran it again could have known: the fact was there, below its cut, before it was asked again."""
    asked = min((cmd["at"] for cmd in story.known[key] if cmd["region"] == second["region"]), default=END)
    cut = second["cuts"].get(first["gen"], 0)
    return any(not e.void and gen(e.offset) == first["gen"] and e.offset < cut and row["when"].get(second["region"], END) < asked
               for row, e in w.blocks.of_task.get(key, ()))


# --- cancels and moves -------------------------------------------------------------------------------------------------
def cancels(w, story):
    for key, ps in story.seen.items():
        if story.is_scheduled(key) or any(cmd.get("gone") for cmd in w.commands):
            continue
        last, kind = max(story.about[key])
        if {k for _, k in story.about[key]} <= {"create", "cancel"} and kind == "cancel":
            for p in ps:
                if p["gen"] == gen(last) and p["offset"] > last:
                    return f"cancelled last, at {last}, and run: {p}"
                if is_applied_before(w, key, last, p):
                    return f"the transferred cancel of {last} was applied, and it ran: {p}"


def is_applied_before(w, key, origin, p):
    """Whether a transferred cancel lay in the log, read, when something was published that was said before it."""
    r = w.regions[p["region"]]
    lo, hi = r.generation_range(p["gen"])
    for index in range(lo, min(hi, int(p["a"]) - p["gen"] * BAND)):
        rec = r.log[index]
        if rec[0] == "transferred" and rec[1] == origin and rec[2][:3] == ("cancel",) + key and p["said"] < origin:
            return w.offset(p["gen"], index) < p["a"] and p["offset"] != w.offset(p["gen"], index) and not was_late(w, p, index)
    return False


def was_late(w, p, index):
    """A late creation goes out in the tick that reads it, with a cancel that is read in the same tick."""
    return p["due"] < p["at"] and p["offset"] < w.offset(p["gen"], index)


def moves(w, story):
    """Not both times of a move, unless its decision was not with both, or lies in a window."""
    for cmd in w.commands:
        rec = cmd["rec"]
        if rec[0] != "move":
            continue
        old, new = (rec[1], rec[2]), (rec[1], rec[3])
        is_plain = len(story.voided[old]) == 1 and len(story.known.get(old, [])) == 1 and len(story.known[new]) == 1
        if old not in story.seen or new not in story.seen or not is_plain or {old, new} & w.doubted:
            continue
        ps = story.seen[old] + story.seen[new]
        if not (decided_with_both(w, rec, max(ps, key=lambda p: p["gen"])["cuts"]) or len({p["gen"] for p in ps}) == 1):
            continue
        if not any(story.in_window(p) for p in ps) and not any(id(p) in story.lost for p in ps):
            return f"moved and run: {rec}: {ps}"


def decided_with_both(w, rec, cuts):
    """Whether the decision lies below the cuts of the one who published last."""
    places = []
    for r in w.regions.values():
        for g in r.starts:
            lo, hi = r.generation_range(g)
            places += [(g, i) for i in range(lo, hi) if r.log[i][0] == "moved" and r.log[i][1:4] == rec[1:4]]
    return bool(places) and all(w.offset(g, i) < cuts.get(g, 0) for g, i in places)


# --- losses ------------------------------------------------------------------------------------------------------------
def lost(w, story):
    final = story.final
    for key, creates in story.known.items():
        if key in story.seen or key in story.voided or key in w.dead or key[1] >= final.frontier.floor()[0]:
            continue
        for cmd in creates:
            if cmd["rec"][0] == "create" and must_run(w, story, key, cmd):
                return f"{cmd} (cuts {final.cuts}, F {final.frontier})"


def must_run(w, story, key, cmd):
    r, is_amo = w.regions[cmd["region"]], cmd["rec"][3]
    is_withheld = is_amo and any(v.contains((key[1], 0)) or v.contains((key[1], END)) or v.frontier.until[0] == key[1] for v in story.final.withheld)
    if is_withheld or is_amo and is_waiting(w, key):
        return False
    is_gone = cmd.get("gone")
    offset = cmd["gen"] * BAND + cmd["index"]
    with_both = offset < story.final.cuts.get(cmd["gen"], 0) and not is_gone
    return with_both or r.up and not is_gone or cmd["acked"] and not (is_gone and is_amo)


def is_waiting(w, key):
    """At-most-once work that was offered to a speaker who is gone, and has given no word of it."""
    now = w.speech.truth()["gen"]
    waiting = [r.log[index] for r in w.regions.values() for (g, to), offer in r.offers.items() if to == now for index in offer["waits"]]
    said = [rec[2] if rec[0] == "transferred" else rec for rec in waiting]
    return any(rec[1] == key[0] and key[1] in rec[2:4] for rec in said)


# --- schedules ---------------------------------------------------------------------------------------------------------
def overlaps(w, story):
    """No two runs at once of a schedule that forbids it, as far as the one who started the second could know."""
    for name, (rec, _) in w.schedules.items():
        if rec[4] == "allow":
            continue
        ps = sorted((p for p in story.published if p["task"] == name), key=lambda p: (p["gen"], p["tick"]))
        for i, first in enumerate(ps):
            for second in ps[i + 1:]:
                if first["due"] != second["due"] and runs_at_once(w, first, second):
                    return f"{first} and {second}"


def runs_at_once(w, first, second):
    if first["gen"] > second["gen"] or first["gen"] == second["gen"] and first["tick"] > second["tick"]:
        return False
    ended = w.completions.get((first["task"], first["due"]), END)
    if first["gen"] != second["gen"]:
        for g in range(first["gen"] + 1, second["gen"] + 1):
            adoption = w.adoptions.get(g)
            if adoption is None:
                continue                                     # nobody began this generation
            if adoption["copy"].gen < first["gen"] or adoption["copy"].gen == first["gen"] and first["tick"] > adoption["copy"].tick:
                return False                                 # the copy that it began with did not know of the run
            ended = min(ended, adoption["at"] + ABANDON)
    return second["at"] < ended


def schedules_go_on(w, story):
    final = story.final
    if not story.speaker.up:
        return
    for name, (rec, home) in w.schedules.items():
        cmd = next(c for c in w.commands if c["rec"] is rec)
        is_known = w.regions[home].up and not cmd.get("gone") or cmd["acked"]
        last = max((p["at"] for p in story.published if p["task"] == name), default=cmd["at"])
        if is_known and last < w.now - IDLE and not waits_for_word(final, name):
            return f"{name} {rec} stood since {last}, now {w.now}: {final.states.get(name)}"


def waits_for_word(final, name):
    state = final.states.get(name)
    return state is not None and bool(state.doubt)
