"""The rules of one partition, each of which can be broken by name."""
from rule import Rule

RULES = {
    "fence": Rule("a stale producer epoch cannot commit", "", 0),
    "atomic": Rule("publication and checkpoint are one transaction", "", 0),
    "late": Rule("a command at or after A that is due before F is published now; one before A is not published again", "", 0),
    "replay": Rule("R is the lowest offset whose effect is neither in the timetable nor behind F", "", 0),
    "position": Rule("R does not pass what has not been read again yet, while a successor still replays", "", 0),
    "ack": Rule("a block settles its offsets only when its write was acknowledged", "", 0),
    "before-a": Rule("a load takes only timetable entries that lie before A", "", None),
    "pending": Rule("a load also merges what this owner has written or will write but that is not acknowledged yet", "", 3),
    "markers": Rule("voids stay in memory until F passes them, so that a replayed create does not come back", "", 88),
    "end-first": Rule("after take-over the log is applied to its end before anything fires", "", 0),
    "hold": Rule("a task whose move is resolved but not yet applied is held back", "", 0),
    "pair": Rule("F is (due time, log offset): a tick may stop in the middle of one due time", "", 1),
    "budget": Rule("A passes a late command only in the tick that publishes it", "", 0),
}
