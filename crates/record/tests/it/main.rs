//! What every record is held to: round trips, fixtures of released versions, damage, and the
//! documented layout.

mod codecs;
mod damage;
mod fixtures;
mod layout;
mod round_trip;
mod values;
