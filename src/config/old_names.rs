//! Keys that were renamed: a configuration may still have their old names.

use super::yaml::{Tree, Value};

/// The type of the settings, the old name of a key, its name.
const RENAMED: &[(&str, &str, &str)] = &[
    ("CommandRule", "between", "pause"),
    ("Fixed", "start", "prefix"),
    ("FrameKind", "starts", "prefix"),
    ("Length", "start", "prefix"),
    ("OutboxBounds", "after", "spill_after"),
    ("OutboxBounds", "drain", "backlog_rate"),
    ("OutboxBounds", "order", "ordering"),
    ("Port", "device", "name"),
    ("ChecksumSettings", "behind", "trailing"),
];

/// The name of a key in settings of this type, by its old name.
pub(super) fn new_name(of: &str, old: &str) -> Option<&'static str> {
    let found = RENAMED.iter().find(|(settings, name, _)| (*settings, *name) == (of, old));
    found.map(|(_, _, name)| *name)
}

/// The old name of a key, for the manual.
#[cfg(test)]
pub(super) fn old_name(of: &str, name: &str) -> Option<&'static str> {
    let found = RENAMED.iter().find(|(settings, _, new)| (*settings, *new) == (of, name));
    found.map(|(_, old, _)| *old)
}

/// Gives keys their new names, by their numbers, so that nothing else has to know the old ones.
pub(super) fn renew(tree: &mut Tree, renamed: &[(u32, &'static str)]) {
    tree.for_each(&mut |node| {
        if let Some((_, name)) = renamed.iter().find(|(id, _)| *id == node.id) {
            node.value = Value::Scalar { text: (*name).into(), plain: true };
        }
    });
}
