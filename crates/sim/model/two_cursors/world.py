"""The log, the timetable, the checkpoint and what was published: all that outlives an owner."""
END = float("inf")


class World:
    def __init__(self, rng, broken):
        self.rng, self.broken = rng, broken
        self.log, self.timetable, self.published, self.epoch, self.now = [], {}, [], 0, 0
        self.checkpoint = dict(a=0, f=(-1, END), r=0)
        self.in_flight = []                                  # block writes that have been sent: (bucket, entries, owner, offsets)

    def ok(self, rule):
        return rule != self.broken

    def land(self, write):
        """A block write reaches the timetable; the owner, if it lives, hears of it."""
        bucket, entries, owner = write
        self.timetable.setdefault(bucket, []).append(entries)
        owner.acknowledged(entries)
