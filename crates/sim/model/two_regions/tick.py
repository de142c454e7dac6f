"""One tick of an owner: what is due, what waits for word, rows taken, the checkpoint, its copy."""
from .places import END, Checkpoint, Frontier, gen

TICK, BACKLOG = 4, 2                                         # most executions of a transaction, and of a gap in one
CATCH_UP = 12                                                # F that is this far behind leaves a gap and goes on
GAPS_MAX = 2


def commit(o):
    """One transaction. False when the owner is fenced or dies."""
    w, r = o.world, o.region
    if o.is_dead or not r.up or r.stopped:
        return False
    limit = min(w.now, r.horizon) if w.ok("horizon") else w.now
    o.memory.load(w.now)
    o.book.abandon()
    due, frontier = choose(o, o.frontier if o.recovering else opened(o, limit))
    if o.epoch != r.sink:
        return False
    fires = [e for e in due if fires_now(o, e)]
    words = [] if o.recovering else resolve_withheld(o)
    buffered = [] if o.recovering else o.book.start_buffered()
    late, o.memory.late = o.memory.late, []
    taken, rows = take_rows(o)
    derived, o.derived = o.derived + rows, []
    torn_states = o.book.states if w.ok("copy-torn") else r.checkpoint.states
    o.frontier = frontier
    o.memory.passed(frontier)
    replay, o.w = o.cursors()
    o.tick_number += 1
    c = Checkpoint(o.gen, o.tick_number, o.a, frontier, replay, o.w, o.start, o.since, o.cuts, o.withheld,
                   taken if w.ok("taken") else o.taken, dict(o.book.states))
    copy = Checkpoint(*[getattr(c, name) for name in c.__dataclass_fields__ if name != "states"], dict(torn_states))
    if not w.ok("copy-after") and copies(o, copy) and w.rng.random() < 0.15:
        return False
    publish(o, fires + late + words + buffered)
    r.log += derived
    r.checkpoint, o.taken = c, taken
    r.snapshots.append((len(r.log), len(r.published), c))
    if w.ok("copy-after"):
        copies(o, copy)
    return True


def copies(o, copy):
    """One copy is in flight at a time; what commits meanwhile is in the next."""
    if o.copying is None:
        o.copying = o.world.store(o.world.copies, o.region, o, checkpoint=copy)
        return True
    return False


def publish(o, entries):
    for e in entries:
        o.region.published.append(dict(task=e.task, due=e.due, at=o.world.now, offset=e.offset, said=e.said, region=o.region.name,
                                       gen=o.gen, a=o.a, cuts=o.cuts, amo=e.amo, tick=o.tick_number))


# --- F ---------------------------------------------------------------------------------------------------------------
def opened(o, limit):
    """How far F may go: to the horizon, and where it is far behind it leaves a gap, which is drained at its own rate."""
    until, gaps = max(o.frontier.until, (limit, END)), o.frontier.gaps
    lag = limit - o.frontier.until[0]
    if lag > CATCH_UP and len(gaps) < GAPS_MAX and o.frontier.until[0] >= 0 and o.memory.loaded > limit:
        jump = (limit - 2, END)
        return Frontier(jump, gaps + ((o.frontier.until, jump),)), until
    return Frontier(o.frontier.until, gaps), until


def choose(o, span):
    """What is due on time first, then the oldest gap; answers that and F behind it."""
    if isinstance(span, Frontier):
        return [], span
    base, until = span
    if o.memory.loaded <= until[0]:
        until = max(base.until, (o.memory.loaded, -1))       # F does not pass what could not be loaded
    waiting = sorted([e for e in o.memory.near.values() if not base.passed(e.place) and e.place <= until and not e.void]
                     + o.book.due(base, until), key=lambda e: e.place)
    due, on_time = [], [e for e in waiting if e.place > base.until]
    reached = stops_at(o, on_time, base.until, until, TICK - len(o.memory.late), due)
    gaps = base.gaps
    if gaps and gaps[0][1][0] < o.memory.loaded:
        lo, hi = gaps[0]
        some = [e for e in waiting if lo < e.place <= hi]
        drained = stops_at(o, some, lo, hi, BACKLOG, due)
        gaps = gaps[1:] if drained >= hi else ((drained, hi),) + gaps[1:]
    return due, Frontier(reached, gaps)


def stops_at(o, entries, begin, until, room, due):
    """Adds to `due` what has room; answers the place behind which all is decided: before what is held, or has no room."""
    last = begin
    for e in entries:
        if e.key in o.held:
            return max(begin, (e.due, e.offset - 1))
        if room <= 0:
            return last
        room -= 1
        due.append(e)
        last = e.place
    return until


# --- what may have run elsewhere ---------------------------------------------------------------------------------------
def ran_by(o, word, e):
    """Whether a generation that gave word knew an entry, had passed it, and did not itself withhold it."""
    if word["frontier"] is None or not word["frontier"].passed(e.place):
        return False
    if gen(e.offset) < word["gen"] and e.offset >= word["cuts"].get(gen(e.offset), 0) and o.world.ok("word-cut"):
        return False
    return not e.amo or not any(v.contains(e.place) for v in word["withheld"])


def ran_there(o, e):
    """Word has come that an earlier generation had passed this place before it was closed."""
    return o.world.ok("word") and ran_before(o, e)


def ran_before(o, e):
    words = o.world.visible(o.world.words, o.region)
    return any(gen(e.offset) <= word["gen"] < o.gen and not word["torn"] and ran_by(o, word, e) for word in words)


def is_withheld(o, e):
    return e.amo and o.world.ok("withhold") and any(v.contains(e.place) for v in o.withheld)


def fires_now(o, e):
    """At-most-once work of a window waits; an occurrence that waits is missed; the others are asked for their overlap."""
    if is_withheld(o, e) or ran_there(o, e):
        return False
    return e.task not in o.book.heads or o.book.decide(e)


def resolve_withheld(o):
    """Word has come of all who may have run it: what none of them has published is owed, late."""
    w, out = o.world, []
    partner = w.partner(o.region)
    for v in o.withheld:
        words = o.words(v.holders)
        if words is None or partner is None or (o.frontier.is_behind(v) and w.ok("behind-f")):
            continue
        waiting = [e for e in newest_in(o, v, partner) if e.amo and not e.void and v.contains(e.place)]
        if any(word["torn"] for word in words):
            w.dead |= {e.key for e in waiting}               # nobody will ever know: dead letters, and the window stays
            continue
        o.withheld = tuple(x for x in o.withheld if x is not v)
        out += [e for e in waiting if not is_withheld(o, e) and not ran_before(o, e)]
    return out


def newest_in(o, window, partner):
    """What is known last of every task with a time in the window."""
    newest = {}
    for bucket in range(int(max(0, window.frontier.floor()[0])) // 10, int(window.until[0]) // 10 + 1):
        for e in o.memory.bucket(bucket, partner):
            if e.key not in newest or newest[e.key].offset < e.offset:
                newest[e.key] = e
    return list(newest.values())


# --- rows --------------------------------------------------------------------------------------------------------------
def take_rows(o):
    """What earlier logs held beyond their cuts, row after row without a hole."""
    w, taken, out = o.world, dict(o.taken), []
    rows = {(row["gen"], row["n"]): row for row in w.visible(w.offered, o.region) if row["to"] == o.gen or not w.ok("addressed")}
    for g in range(o.gen):
        while (g, taken.get(g, 0)) in rows:
            row = rows[(g, taken.get(g, 0))]
            out.append(("transferred", row["origin"], row["record"]))
            taken[g] = taken.get(g, 0) + 1
    return taken, out
