//! Settings from types.
//!
//! A program's settings are a struct of sections, each a struct whose fields are its settings:
//! their names with their units, their defaults (`Default`), their limits (`#[schemars(range(min =
//! …, max = …))]`) and, as documentation, what they do. From nothing but these types come
//!
//! - [`Known`]: every setting, for `config show`, the reference ([`markdown`]) and the JSON schema
//!   ([`json_schema`]);
//! - [`Sources`]: built-in values, fragments of files, a file, the environment and flags, each over
//!   the one before, in which every key keeps its origin, and what is refused is refused with its
//!   name, its value, its limit and where it came from.
//!
//! `schemars` describes the types, because it reads what serde's attributes say and is what others
//! use for that; `toml` and `serde` read the values. `figment` would merge the sources, but says
//! neither limits nor nearest names, and knows no commas.

mod client;
mod error;
mod known;
mod nearest;
mod render;
mod secret;
mod sources;

pub use client::{ClientTls, Login};
pub use error::{SettingsError, both_or_none};
pub use known::{Kind, Known};
pub use render::{json_schema, markdown};
pub use secret::Secret;
pub use sources::{Loaded, Names, Origin, Setting, Sources};
