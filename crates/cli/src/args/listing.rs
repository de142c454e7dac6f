//! What all lists of things with ids can be asked for.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ListingArgs {
    /// Only ids with this prefix.
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
}
