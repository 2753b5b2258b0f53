//! From a YAML tree to the config types, with the place of every mistake: reading goes on after one.

mod choice;
mod mistake;
mod node;

pub use mistake::{Mistake, What};

use super::yaml::{Tree, Value};
pub use crate::base::path::{Path, Step};
use node::Node;
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;

impl Path {
    /// The path of a node, by its number.
    pub fn of(tree: &Tree, id: u32) -> Option<Path> {
        fn find(tree: &Tree, id: u32, steps: &mut Vec<Step>) -> bool {
            if tree.id == id {
                return true;
            }
            match &tree.value {
                Value::List(items) => items.iter().enumerate().any(|(n, item)| {
                    steps.push(Step::Item(n));
                    find(item, id, steps) || steps.pop().is_none()
                }),
                Value::Map(keys) => keys.iter().any(|(key, value)| {
                    steps.push(Step::Key(key.key_text().into_owned()));
                    key.id == id || find(value, id, steps) || steps.pop().is_none()
                }),
                _ => false,
            }
        }
        let mut steps = Vec::new();
        find(tree, id, &mut steps).then_some(Path(steps))
    }

    /// Whether it goes through `fields` of a port or of a device on its bus.
    pub fn is_in_fields(&self) -> bool {
        let is = |at: usize| self.0.get(at).is_some_and(|step| *step == Step::Key("fields".into()));
        is(2) || is(4)
    }

    /// The key and the value that it leads to. An item of a list has no key.
    pub fn find<'a>(&self, tree: &'a Tree) -> Option<(Option<&'a Tree>, &'a Tree)> {
        self.0.iter().try_fold((None, tree), |(_, tree), step| match (step, &tree.value) {
            (Step::Key(key), Value::Map(_)) => {
                tree.entry(key).map(|(key, value)| (Some(key), value))
            }
            (Step::Item(at), Value::List(items)) => items.get(*at).map(|item| (None, item)),
            (Step::Characters { .. }, Value::Scalar { .. }) => Some((None, tree)),
            _ => None,
        })
    }
}

/// One reading of a tree: what was found to be wrong so far.
#[derive(Debug, Default)]
pub struct Reading {
    /// The first of the mistakes, at most as many as are shown.
    pub(super) mistakes: RefCell<Vec<Mistake>>,
    /// How many mistakes there are beyond these.
    pub(super) more: Cell<usize>,
    /// Nodes that are passed over because they are wrong.
    cut: RefCell<HashSet<u32>>,
    /// The numbers of keys that have an old name, and their new names.
    pub(super) renamed: RefCell<Vec<(u32, &'static str)>>,
    /// How many nodes were looked at.
    pub(super) steps: Cell<usize>,
}

/// How often a list's item, or a map's entry, is read again after a mistake in it.
const PASSES: usize = 100;

impl Reading {
    /// Reads all of a tree, or notes what is wrong. `None` with nothing noted does not happen.
    pub fn read<T: for<'de> Deserialize<'de>>(&self, tree: &Tree) -> Option<T> {
        for _ in 0..PASSES {
            match T::deserialize(Node { tree, reading: self }) {
                Ok(read) => return Some(read),
                Err(mistake) => {
                    if !self.goes_on(&mut mistake.inside(tree), tree, 0) {
                        break;
                    }
                }
            }
        }
        None
    }

    /// Notes a mistake in a part of `tree` and cuts it out. `false` if nothing is left.
    fn note(&self, mistake: &Mistake, tree: &Tree) -> bool {
        let Mistake { node, follows, .. } = *mistake;
        let mut cut = self.cut.borrow_mut();
        let is_new = cut.insert(node);
        if is_new && !follows {
            self.add(mistake.clone());
        }
        if is_new || node == tree.id {
            return node != tree.id;
        }
        // What cannot be cut out goes with the nearest thing around it.
        let Some(mut path) = Path::of(tree, node) else { return false };
        while path.0.pop().is_some() {
            let around = path.find(tree).map_or(tree.id, |(_, node)| node.id);
            if cut.insert(around) {
                return around != tree.id;
            }
        }
        false
    }

    /// Notes a mistake in an item or a value, unless it was noted further inside. `true` if what is left
    /// of it is worth another pass.
    fn goes_on(&self, mistake: &mut Mistake, tree: &Tree, passes: usize) -> bool {
        let is_noted = std::mem::replace(&mut mistake.noted, true);
        let is_left = if is_noted { !self.is_cut([tree; 2]) } else { self.note(mistake, tree) };
        is_left && passes < PASSES
    }

    /// Whether one of these nodes is passed over.
    fn is_cut(&self, nodes: [&Tree; 2]) -> bool {
        let cut = self.cut.borrow();
        nodes.iter().any(|node| cut.contains(&node.id))
    }

    fn add(&self, mistake: Mistake) {
        let mut mistakes = self.mistakes.borrow_mut();
        if mistakes.len() < super::error::SHOWN {
            mistakes.push(mistake);
        } else {
            self.more.set(self.more.get() + 1);
        }
    }
}

/// Reads a tree that is not a whole configuration, or says the first thing that is wrong with it.
pub fn read<T: for<'de> Deserialize<'de>>(tree: &Tree) -> Result<T, String> {
    let reading = Reading::default();
    let read = reading.read(tree);
    match reading.mistakes.borrow().first() {
        Some(mistake) => Err(mistake.with_path(tree)),
        None => read.ok_or_else(|| "this cannot be read".into()),
    }
}

/// The same for a text.
#[cfg(any(test, feature = "testing"))]
pub fn parse<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
    read(&Tree::read(text).map_err(|fault| fault.what)?)
}
