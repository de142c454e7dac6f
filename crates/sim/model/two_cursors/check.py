"""Walks the log once: who must run, who may, who must not."""
from .owner import BUCKET


def check(w):
    """Reference: walk the log once; who must run, who may, who must not."""
    gens = {}                                                # (task, due) -> [offset of the fact, voided at log offset or None]
    for o, rec in enumerate(w.log):
        if rec[0] == "create":
            gens.setdefault((rec[1], rec[2]), [o, None])
        elif rec[0] == "cancel":
            if (rec[1], rec[2]) in gens: gens[(rec[1], rec[2])][1] = o
        elif rec[0] in ("replace", "moved"):
            if (rec[1], rec[2]) in gens: gens[(rec[1], rec[2])][1] = o
            gens.setdefault((rec[1], rec[3]), [o, None])
    if w.checkpoint["a"] < len(w.log) or w.checkpoint["f"][0] < w.now - 10 * BUCKET:
        return f"stuck: {w.checkpoint} of {len(w.log)} at {w.now}"
    seen = {}
    for task, due, at, offset in w.published:
        if at < due: return f"early: {task} due {due} at {at}"
        if (task, due) in seen: return f"twice: {task} due {due}"
        seen[(task, due)] = at
        if (task, due) not in gens: return f"phantom: {task} due {due}"
    for key, (offset, void) in gens.items():
        if void is None and key not in seen and key[1] < w.checkpoint["f"][0] and offset < w.checkpoint["a"]:
            return f"lost: {key} offset {offset}"
    for o, rec in enumerate(w.log):                          # a move that was carried out: the old time must not have run
        if rec[0] == "moved" and (rec[1], rec[2]) in seen:
            return f"moved and run: {rec}"
    return None
