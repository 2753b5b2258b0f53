//! Who has a tty open? Looked up in procfs, as `fuser` does.

use std::fmt;
use std::fs;
use std::path::Path;

/// Another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    id: u32,
    name: String,
}

impl Process {
    /// Whether it is a login or a shell on the boot console.
    pub(super) fn is_console(&self) -> bool {
        matches!(self.name.as_str(), "askfirst" | "ash" | "login" | "getty" | "agetty" | "init")
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.id)
    }
}

/// The first process other than this one that has `tty` open, as far as this user may see.
pub(super) fn by_another(proc: &Path, tty: &Path) -> Option<Process> {
    let own = std::process::id();
    for entry in fs::read_dir(proc).ok()?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if id == own {
            continue;
        }
        let Ok(open) = fs::read_dir(entry.path().join("fd")) else { continue };
        if open.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == tty)) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(Process { id, name: name.trim_end().into() });
        }
    }
    None
}
