//! Which other program has a tty open: a search in procfs, as `fuser` does it.

use std::fmt;
use std::fs;
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    id: u32,
    name: String,
}

impl Process {
    /// How to free the port from a login or shell on the console, or to do without; empty for other
    /// programs.
    pub(super) fn remedy(&self, tty: &Path) -> String {
        match self.name.as_str() {
            "askfirst" | "ash" | "getty" | "init" | "login" => {
                "; it is this machine's console, see /etc/inittab".into()
            }
            "agetty" => format!(
                "; it is this machine's console, see /etc/inittab or `systemctl disable --now \
                 serial-getty@{}.service`",
                tty.file_name().unwrap_or_default().display()
            ),
            "tty2mqtt" => {
                "; `tty2mqtt monitor PORT --raw` shows what a running gateway reads".into()
            }
            _ => String::new(),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.id)
    }
}

/// Finds the first other process that has `tty` open, among those whose files this user may see.
/// `known` had it before and is looked at first: to look at every open file of the machine is costly.
pub(super) fn by_another(proc: &Path, tty: &Path, known: Option<&Process>) -> Option<Process> {
    if let Some(known) = known
        && has_open(&proc.join(known.id.to_string()), tty)
    {
        return Some(known.clone());
    }
    let own = std::process::id();
    for entry in fs::read_dir(proc).ok()?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if id != own && has_open(&entry.path(), tty) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(Process { id, name: name.trim_end().into() });
        }
    }
    None
}

/// Whether a process has `tty` open without holding its master end. A program that made a pair of
/// virtual ports, such as socat, often keeps both ends open and reads only one of them.
fn has_open(process: &Path, tty: &Path) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    let (mut has_tty, mut masters) = (false, Vec::new());
    for file in files.flatten() {
        let Ok(target) = fs::read_link(file.path()) else { continue };
        has_tty |= target == tty;
        if target.file_name().is_some_and(|name| name == "ptmx") {
            masters.push(file.file_name());
        }
    }
    has_tty && !masters.iter().any(|file| is_master_of(&process.join("fdinfo").join(file), tty))
}

/// Whether an open `ptmx` is the master end of `tty`, such as `/dev/pts/5`.
fn is_master_of(info: &Path, tty: &Path) -> bool {
    let info = fs::read_to_string(info).unwrap_or_default();
    let index = info.lines().find_map(|line| line.strip_prefix("tty-index:"));
    index.is_some_and(|index| tty == Path::new("/dev/pts").join(index.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A process in a procfs of our own, with its open files and the terminal of each `ptmx`.
    fn process(proc: &Path, id: u32, files: &[(&str, &str)]) {
        let place = proc.join(id.to_string());
        for folder in ["fd", "fdinfo"] {
            fs::create_dir_all(place.join(folder)).unwrap();
        }
        fs::write(place.join("comm"), format!("program{id}\n")).unwrap();
        for (n, (target, info)) in files.iter().enumerate() {
            symlink(target, place.join("fd").join(n.to_string())).unwrap();
            fs::write(place.join("fdinfo").join(n.to_string()), info).unwrap();
        }
    }

    #[test]
    fn the_other_end_of_a_virtual_port_is_no_other_program() {
        let proc = tempfile::tempdir().unwrap();
        let info = |index| format!("pos:\t0\nflags:\t0100002\ntty-index:\t{index}\n");
        let (five, fifty) = (info(5), info(50));
        let tty = Path::new("/dev/pts/5");
        process(proc.path(), 10, &[("/dev/pts/5", ""), ("/dev/pts/ptmx", &five)]);
        process(proc.path(), 11, &[("/dev/ptmx", &five), ("/dev/pts/6", "")]);
        assert_eq!(by_another(proc.path(), tty, None), None);
        // The other end of another pair.
        process(proc.path(), 12, &[("/dev/ptmx", &fifty), ("/dev/pts/5", "")]);
        let by = by_another(proc.path(), tty, None).unwrap();
        assert_eq!(by.to_string(), "program12 (pid 12)");
    }

    #[test]
    fn a_login_on_the_console_has_a_remedy() {
        let remedy =
            |name: &str| Process { id: 1, name: name.into() }.remedy(Path::new("/dev/ttyS0"));
        assert!(remedy("ash").contains("/etc/inittab"));
        assert!(remedy("agetty").contains("serial-getty@ttyS0.service"));
        assert_eq!(remedy("minicom"), "");
    }

    #[test]
    fn who_had_it_before_is_asked_first_and_somebody_else_when_it_let_go() {
        let proc = tempfile::tempdir().unwrap();
        let tty = Path::new("/dev/ttyS0");
        process(proc.path(), 20, &[("/dev/ttyS0", "")]);
        let known = by_another(proc.path(), tty, None).unwrap();
        // Its name was read the first time only: the other processes are not looked at again.
        fs::remove_file(proc.path().join("20/comm")).unwrap();
        let by = by_another(proc.path(), tty, Some(&known));
        assert_eq!(by.as_ref(), Some(&known));
        fs::remove_dir_all(proc.path().join("20")).unwrap();
        assert_eq!(by_another(proc.path(), tty, Some(&known)), None);
        process(proc.path(), 21, &[("/dev/ttyS0", "")]);
        let by = by_another(proc.path(), tty, Some(&known)).unwrap();
        assert_eq!(by.to_string(), "program21 (pid 21)");
    }
}
