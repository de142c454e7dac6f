"""A region's right to speak: held, lost, and closed with a word about where it stood."""


def speaks(w, r):
    """What a region's speaker does: extends the horizon, or learns that it speaks no more, or that it may."""
    if r.right and not r.stopped and w.speech.read(r):
        answer = w.speech.extend(r)
        if answer:
            r.asked = False
        elif answer is False:
            loses_right(r)
    row = w.speech.read(r)
    if row is None:
        return
    if r.right is None and w.speech.grants(r) and has_closed(w, r, row) and w.rng.random() < 0.7:
        r.right, r.draining, r.asked, r.stopped = (row["epoch"], row["gen"]), False, False, False
        if w.speech.has_horizon:
            r.horizon = max(r.horizon, min(row["horizon"], w.now + 8))
    if r.right and row["epoch"] > r.right[0] and w.rng.random() < 0.5:
        loses_right(r)


def loses_right(r):
    r.right, r.draining, r.asked = None, False, False


def own_generations(r, row):
    """The generations that a region had before the one that is spoken now."""
    return [g for g, name in row["speakers"].items() if name == r.name and g < row["gen"]]


def has_closed(w, r, row):
    return all(g in r.closed for g in own_generations(r, row))


def closes(w, r):
    """A region that speaks no more for a generation: it fences its owners, and says where it stood."""
    row = w.speech.read(r)
    if row is None or r.right is not None:
        return
    for g in own_generations(r, row):
        if g not in r.closed:
            close(w, r, g)


def close(w, r, g):
    if r.owner:
        r.zombies.append(r.owner)
        r.owner = None
    if w.ok("close"):
        r.sink += 1
    c = r.checkpoint if r.checkpoint and r.checkpoint.gen == g else None
    r.closed[g] = c
    torn = g in r.lost and w.ok("fingerprint")               # it does not know any more what it had published
    if c is None:
        w.store(w.words, r, gen=g, frontier=None, withheld=(), taken={}, cuts={}, states=None, torn=torn)
    else:
        w.store(w.words, r, gen=g, frontier=c.frontier, withheld=c.withheld, taken=c.taken, cuts=c.cuts, states=c.states, torn=torn)
    if c is None and g not in r.starts:
        r.starts[g] = len(r.log)                             # it never spoke: nothing of its log is of this generation yet


def loses_datacenter(r):
    """Everything in the region dies at once."""
    r.up, r.owner, r.zombies, r.wrote = False, None, [], None


def forgets(w, r):
    """Its Kafka loses its newest segment, and comes back. Answers whether there was something to lose."""
    c = r.checkpoint
    older = [s for s in r.snapshots if c and s[2].gen == c.gen and s[2].tick < c.tick]
    if len(older) < 3:
        return False
    length, count, before = older[-w.rng.randrange(1, 4)]
    is_noticed = any(x["checkpoint"].gen == c.gen and x["checkpoint"].tick > before.tick for x in w.visible(w.copies, r))
    speaks_still = w.speech.truth()["speaker"] == r.name
    if speaks_still and not is_noticed or c.gen in r.closed:
        return False                                         # a Kafka that forgets what nobody has a copy of: not covered
    for cmd in w.commands:
        if cmd["region"] == r.name and cmd["index"] >= length:
            cmd["gone"] = True
    r.lost_published += r.published[count:]
    r.log, r.published, r.checkpoint = r.log[:length], r.published[:count], before
    r.lost[c.gen] = length
    r.snapshots = [s for s in r.snapshots if s[2].tick <= before.tick or s[2].gen != c.gen]
    r.sink += 1
    r.owner, r.zombies = None, []
    return True


