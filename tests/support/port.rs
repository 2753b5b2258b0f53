//! The device's end of a virtual serial port, under a name that stays when it is replugged.

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Port {
    device: Option<File>,
    link: PathBuf,
    _folder: TempDir,
}

impl Port {
    pub fn new() -> Port {
        let folder = tempfile::tempdir().unwrap();
        let mut port = Port { device: None, link: folder.path().join("tty"), _folder: folder };
        port.plug();
        port
    }

    pub fn path(&self) -> &Path {
        &self.link
    }

    fn plug(&mut self) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let device = openpt(flags).unwrap();
        grantpt(&device).unwrap();
        unlockpt(&device).unwrap();
        let other = ioctl_tiocgptpeer(&device, flags).unwrap();
        let mut settings = tcgetattr(&other).unwrap();
        settings.make_raw();
        tcsetattr(&other, OptionalActions::Now, &settings).unwrap();
        let name = rustix::pty::ptsname(&device, Vec::new()).unwrap();
        let _ = std::fs::remove_file(&self.link);
        std::os::unix::fs::symlink(name.to_str().unwrap(), &self.link).unwrap();
        self.device = Some(File::from(device));
    }

    /// The device's end once more, for a thread that plays the device.
    pub fn device(&self) -> File {
        self.device.as_ref().unwrap().try_clone().unwrap()
    }

    /// Hangs up; the name leads nowhere.
    pub fn unplug(&mut self) {
        std::fs::remove_file(&self.link).unwrap();
        self.device = None;
    }

    /// Hangs up and comes back under another number.
    pub fn replug(&mut self) {
        let old = self.device.take();
        self.plug();
        drop(old);
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.device.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// What the gateway wrote, up to a line break.
    pub fn read_line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            self.device.as_mut().unwrap().read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }
}
