"""Recurring work: occurrences are computed from F, what an overlap policy needs is a state that the tick's transaction writes."""
from typing import NamedTuple

from .places import END, Entry, State

ABANDON = 30                                                 # after an adoption, runs of lost regions are given up


class Schedule(NamedTuple):
    name: str
    first: float
    every: float
    policy: str                                              # skip | buffer | allow
    amo: bool
    offset: float
    behind: tuple                                            # a transferred one begins behind what the lost region has passed


class Book:
    """The schedules of an owner, and their states as of the last tick."""
    def __init__(self, owner, states):
        self.owner, self.world, self.states = owner, owner.world, dict(states)
        self.heads, self.pending, self.unsettled, self.unreached = {}, [], set(), set()
        w, partner = owner.world, owner.partner
        for row in w.visible_at_quorum(w.revisions, owner.region, partner):
            s = row["schedule"]
            if owner.memory.sees(row, s.offset, partner) and owner.memory.knows(s.offset):
                self.add(s)

    def add(self, schedule):
        """The first creation of a name stands."""
        old = self.heads.get(schedule.name)
        if old is None or old.offset > schedule.offset:
            self.heads[schedule.name] = schedule

    def created(self, schedule):
        self.add(schedule)
        self.pending.append(schedule)
        self.unsettled.add(schedule.offset)
        self.unreached.add(schedule.offset)

    def flush(self):
        for schedule in self.pending:
            self.world.store(self.world.revisions, self.owner.region, self.owner, schedule=schedule)
        self.pending = []

    def completed(self, name, nominal):
        state = self.states.get(name, State())
        if state.running and state.running[0] == nominal:
            self.states[name] = State(None, state.buffered, state.doubt)

    # --- in a tick -------------------------------------------------------------------------------------------------
    def due(self, frontier, until):
        """Occurrences beyond the frontier, up to `until`, as entries in the order of places."""
        out = []
        for s in self.heads.values():
            n = s.first
            while (n, s.offset) <= until:
                if not frontier.passed((n, s.offset)) and (n, END) > s.behind:
                    out.append(Entry(s.name, n, s.offset, False, s.amo, s.offset))
                n += s.every
        return out

    def abandon(self):
        """Runs whose region is lost end nowhere: their completions went to a log that nobody reads."""
        if self.world.now < self.owner.since + ABANDON or not self.world.ok("abandon"):
            return
        for name, state in self.states.items():
            if state.running and state.running[1] < self.owner.gen:
                self.states[name] = State(None, state.buffered, state.doubt)

    def decide(self, entry):
        """Whether an occurrence starts now."""
        s, state = self.heads[entry.task], self.states.get(entry.task, State())
        if s.policy == "allow":
            return True
        if state.running is None and state.buffered is None:
            self.states[s.name] = State((entry.due, self.owner.gen))
            return True
        if s.policy == "buffer" and state.buffered is None:
            self.states[s.name] = State(state.running, entry.due)
        return False

    def start_buffered(self):
        """What waited for a run to end."""
        out, w = [], self.world
        if w.now > self.owner.region.horizon and w.ok("horizon-new"):
            return out                                       # nothing new is published beyond the horizon
        for name, state in list(self.states.items()):
            s = self.heads.get(name)
            if state.buffered is None or s is None:
                continue
            if state.doubt and s.amo and w.ok("buffered-window"):
                state = self.asks_for_word(name, state)
            if state.buffered is None or state.running or state.doubt and s.amo and w.ok("buffered-window"):
                continue
            self.states[name] = State((state.buffered, self.owner.gen))
            if state.doubt:
                w.doubted.add((name, state.buffered))
            out.append(Entry(name, state.buffered, s.offset, False, s.amo, s.offset))
        return out

    def asks_for_word(self, name, state):
        """Word of those who may have started it: when one did, it is forgotten here, when none did it is owed."""
        words = self.owner.words(state.doubt)
        if words is None:
            return state
        for word in words:
            told = word["states"].get(name, State()) if word["states"] is not None else state
            if word["torn"] or told.buffered != state.buffered:
                self.states[name] = State(state.running, None)
                return self.states[name]
        self.states[name] = State(state.running, state.buffered)
        return self.states[name]
