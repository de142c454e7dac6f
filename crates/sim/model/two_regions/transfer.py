"""What a closed log held beyond the cut is offered to whoever speaks now: row after row, each generation of speakers anew."""


def transfers(w, r):
    """Offers the next few records of every generation that the region had and has closed."""
    row = w.speech.read(r)
    if row is None:
        return
    for g in sorted(r.closed):
        if g in r.starts and g < row["gen"]:
            offer_some(w, r, g, row)


def offer_some(w, r, g, row):
    s = row["gen"]
    copies = [x["checkpoint"] for x in w.visible(w.copies, r) if x["checkpoint"].gen == s]
    if not copies:
        return                                               # nobody knows yet where its knowledge ends
    lo, hi = r.generation_range(g)
    cut = max(copies[0].cuts.get(g, 0), w.offset(g, lo))
    offer = r.offers.get((g, s))
    if offer is None:
        begin = int(cut - w.offset(g, 0))
        if g in r.lost and w.ok("fingerprint"):
            begin = min(begin, r.lost[g])
        offer = r.offers[(g, s)] = dict(next=max(begin, lo), n=0, told={}, waits=[])
    for index in offer["waits"][:]:
        if verdict(w, r, g, s, index) != "wait":
            offer["waits"].remove(index)
            tell(w, r, g, s, index, cut, row)
    for index in range(offer["next"], min(hi, offer["next"] + w.rng.randrange(1, 5))):
        offer["next"] = index + 1
        if verdict(w, r, g, s, index) == "wait":
            offer["waits"].append(index)
        else:
            tell(w, r, g, s, index, cut, row)


def is_at_most_once(record):
    if record[0] == "transferred":
        record = record[2]
    return record[0] in ("create", "replace", "moved", "move") and record[-1]


def verdict(w, r, g, s, index):
    """What an earlier speaker may have done with a record that was offered to it: tell | skip | wait."""
    if not w.ok("offered-once"):
        return "tell"
    words = {x["gen"]: x for x in w.visible(w.words, r)}
    for h in range(s - 1, g, -1):
        n = r.offers.get((g, h), {"told": {}})["told"].get(index)
        if n is None:
            continue
        word = words.get(h)
        if word is None or word["torn"]:
            return "wait" if is_at_most_once(r.log[index]) else "doubt"
        if n < word["taken"].get(g, 0):
            return "skip"                                    # it is in that speaker's log, which tells it, or is known
    return "tell"


def tell(w, r, g, s, index, cut, row):
    say = verdict(w, r, g, s, index)
    if say == "skip":
        return
    offer = r.offers[(g, s)]
    for origin, record in meaning(w, r, g, index, cut, row):
        if say == "doubt":
            w.doubted |= {(record[1], t) for t in record[2:4]}
        w.store(w.offered, r, gen=g, to=s, n=offer["n"], origin=origin, record=record)
        offer["told"][index] = offer["n"]
        offer["n"] += 1


def meaning(w, r, g, index, cut, row):
    """What a record of a closed log means to those who come after: as it is, or as what has been done with it."""
    o, record, final = w.offset(g, index), r.log[index], r.closed[g]
    origin = max(o, cut)
    if record[0] == "transferred":
        origin, record = record[1], record[2]
    is_applied = final is not None and o < final.a

    def passed(due):
        return is_applied and final.frontier.passed((due, o)) and w.ok("ran-there")
    kind = record[0]
    if g in r.lost and w.ok("fingerprint") and is_at_most_once(record):
        times = record[2:-1]
        if any(t <= (row["closed"].get(g) or 0) for t in times):
            w.dead |= {(record[1], t) for t in times}        # it may have run: a dead letter, for people to decide
            return
    if kind == "schedule" and is_applied and w.ok("begins-behind"):
        record = record[:-1] + (final.frontier.until,)
    if kind == "create" and passed(record[2]):
        record = ("ran",) + record[1:]
    if kind == "move" and is_applied or kind == "moved" and is_applied and r.log[index][0] == "transferred":
        return                                               # what was decided is a record of its own
    if kind in ("replace", "moved") and passed(record[3]):
        yield origin, ("ran", record[1], record[3], record[4])
        record = ("cancel", record[1], record[2])
    yield origin, record
