//! What is allowed, but most likely not meant.

use super::Config;
use super::load::Found;
use super::yaml::Tree;

/// Everything of a right configuration that looks like a slip.
pub(super) fn warn(_: &Config, _: &Tree, _: &mut Found<'_>) {}
