//! Where the control socket is.

use crate::config::control_path::Control;
use std::path::{Path, PathBuf};

/// Where it is for the system's gateway. `/var/run` lies in memory on a router.
pub const SYSTEM: &str = "/var/run/tty2mqtt/control.sock";

/// Where a gateway with this setting, started by this user, has its socket.
pub fn of(setting: &Control) -> Option<PathBuf> {
    match setting {
        Control::Off => None,
        Control::At(path) => Some(path.clone()),
        Control::Standard => Some(of_user().unwrap_or_else(|| SYSTEM.into())),
    }
}

/// Where a gateway that this user starts has its socket; `None`: where the system's gateway has it.
pub fn of_user() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let folder = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty())?;
    Some(Path::new(&folder).join("tty2mqtt/control.sock"))
}
