//! The texts that a configuration is made from: its own, and those that are laid over it or below it.

use super::error::ConfigError;
use super::load;
use super::yaml::{MOST_NODES, Tree};
use crate::base::path::BuildError;

/// The numbers of a text's nodes begin at its own number times this.
const NODES: u32 = (MOST_NODES as u32 + 1).next_power_of_two();

/// Most texts that a configuration is made from.
const MOST: usize = 1024;

/// A text beside the configuration's own.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) file: String,
    pub(super) text: String,
    pub(super) tree: Tree,
}

/// All texts beside the configuration's own, which has the number 0.
#[derive(Debug, Default)]
pub(super) struct Layers(Vec<Layer>);

impl Layers {
    /// Reads one more text.
    pub(super) fn read(&mut self, file: &str, text: String) -> Result<&Layer, ConfigError> {
        let mut tree = load::tree(file, &text)?;
        if self.0.len() >= MOST {
            let error = BuildError::new(format!("there are more than {MOST} device files"));
            return Err(ConfigError::of(file, None, "", error.remedy("take fewer of them")));
        }
        // At most MOST texts: the product is below 2^28.
        let first = (self.0.len() as u32 + 1) * NODES;
        tree.for_each(&mut |node| node.id += first);
        self.0.push(Layer { file: file.to_owned(), text, tree });
        Ok(&self.0[self.0.len() - 1])
    }

    /// Those that were read, in the order of their numbers.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Layer> {
        self.0.iter()
    }
}

/// The number of the text that a node was read from.
pub(super) fn of_node(node: &Tree) -> usize {
    // A u32 fits.
    (node.id / NODES) as usize
}
