//! Random expressions: a structure and its text.

use std::fmt;

/// splitmix64: a fixed seed gives the same expressions on every machine.
pub(crate) struct Generator {
    state: u64,
}

/// One item of a field's list.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Every,
    EveryStep(i64),
    Value(i64),
    Range(i64, i64),
    RangeStep(i64, i64, i64),
    /// `L-n`, and `L` for 0.
    BeforeLast(i64),
    LastWeekday,
    NearestWeekday(i64),
    /// `wL`
    LastOf(i64),
    /// `w#n`
    NthOf(i64, i64),
}

/// Fields in the order second, minute, hour, day of month, month, day of week; the second may be
/// missing.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) second: Option<Vec<Item>>,
    pub(crate) minute: Vec<Item>,
    pub(crate) hour: Vec<Item>,
    pub(crate) day: Vec<Item>,
    pub(crate) month: Vec<Item>,
    pub(crate) weekday: Vec<Item>,
    pub(crate) plus: bool,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Every => write!(f, "*"),
            Item::EveryStep(step) => write!(f, "*/{step}"),
            Item::Value(value) => write!(f, "{value}"),
            Item::Range(first, last) => write!(f, "{first}-{last}"),
            Item::RangeStep(first, last, step) => write!(f, "{first}-{last}/{step}"),
            Item::BeforeLast(0) => write!(f, "L"),
            Item::BeforeLast(n) => write!(f, "L-{n}"),
            Item::LastWeekday => write!(f, "LW"),
            Item::NearestWeekday(day) => write!(f, "{day}W"),
            Item::LastOf(weekday) => write!(f, "{weekday}L"),
            Item::NthOf(weekday, n) => write!(f, "{weekday}#{n}"),
        }
    }
}

fn list(items: &[Item]) -> String {
    items
        .iter()
        .map(Item::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(second) = &self.second {
            write!(f, "{} ", list(second))?;
        }
        let plus = if self.plus { "+" } else { "" };
        let [minute, hour, day, month] =
            [&self.minute, &self.hour, &self.day, &self.month].map(|items| list(items));
        write!(
            f,
            "{minute} {hour} {day} {month} {plus}{}",
            list(&self.weekday)
        )
    }
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Generator {
        Generator { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `first` to `last`.
    pub(crate) fn number(&mut self, first: i64, last: i64) -> i64 {
        first + (self.next() % (last - first + 1) as u64) as i64
    }

    fn chance(&mut self, percent: i64) -> bool {
        self.number(1, 100) <= percent
    }

    fn item(&mut self, min: i64, max: i64) -> Item {
        let first = self.number(min, max);
        let last = self.number(first, max);
        match self.number(0, 9) {
            0 => Item::Every,
            1 => Item::EveryStep(self.number(2, (max - min) / 2)),
            2 | 3 => Item::Range(first, last),
            4 => Item::RangeStep(first, last, self.number(1, (max - min) / 2)),
            _ => Item::Value(first),
        }
    }

    fn items(&mut self, min: i64, max: i64, starred_percent: i64) -> Vec<Item> {
        if self.chance(starred_percent) {
            return vec![Item::Every];
        }
        let count = [1, 1, 1, 2, 2, 3][self.number(0, 5) as usize];
        (0..count).map(|_| self.item(min, max)).collect()
    }

    fn days(&mut self) -> Vec<Item> {
        let mut items = self.items(1, 31, 60);
        if self.chance(15) {
            let special = match self.number(0, 3) {
                0 => Item::BeforeLast(0),
                1 => Item::BeforeLast(self.number(1, 10)),
                2 => Item::LastWeekday,
                _ => Item::NearestWeekday(self.number(1, 31)),
            };
            if self.chance(50) {
                items = vec![special]
            } else {
                items.push(special)
            }
        }
        items
    }

    fn weekdays(&mut self) -> Vec<Item> {
        let mut items = self.items(0, 7, 60);
        if self.chance(15) {
            let weekday = self.number(0, 7);
            let special = if self.chance(50) {
                Item::LastOf(weekday)
            } else {
                Item::NthOf(weekday, self.number(1, 5))
            };
            if self.chance(50) {
                items = vec![special]
            } else {
                items.push(special)
            }
        }
        items
    }

    /// An expression that has much to do in the small hours, when clocks change.
    pub(crate) fn pattern(&mut self, with_seconds: bool) -> Pattern {
        let hour = if self.chance(60) {
            let last = self.number(0, 5);
            (0..=last / 2).map(|_| self.item(0, 4)).collect()
        } else {
            self.items(0, 23, 30)
        };
        Pattern {
            second: with_seconds.then(|| self.items(0, 59, 15)),
            minute: self.items(0, 59, 10),
            hour,
            day: self.days(),
            month: self.items(1, 12, 80),
            weekday: self.weekdays(),
            plus: self.chance(10),
        }
    }
}
