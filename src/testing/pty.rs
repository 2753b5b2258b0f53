//! Virtual serial ports, for the demo and for tests.

use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The device's end of a virtual serial port. Dropping it pulls the plug.
#[derive(Debug)]
pub struct Pty {
    device: OwnedFd,
    path: PathBuf,
}

impl Pty {
    /// A new one.
    pub fn open() -> io::Result<Pty> {
        let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&device)?;
        unlockpt(&device)?;
        // Raw from the start, or the line discipline would echo what the device sends.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let other = ioctl_tiocgptpeer(&device, flags)?;
        let mut settings = tcgetattr(&other)?;
        settings.make_raw();
        tcsetattr(&other, OptionalActions::Now, &settings)?;
        let path = rustix::pty::ptsname(&device, Vec::new())?;
        let path = PathBuf::from(path.to_string_lossy().into_owned());
        rustix::io::ioctl_fionbio(&device, true)?;
        Ok(Pty { device, path })
    }

    /// The other end, which the gateway opens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn device(&self) -> &OwnedFd {
        &self.device
    }

    /// The speed that the other end has set.
    #[cfg(any(test, feature = "demo", feature = "testing"))]
    pub fn speed(&self) -> io::Result<u32> {
        Ok(tcgetattr(&self.device)?.output_speed())
    }

    /// Gives the other end a name that stays when the port is plugged in again under another
    /// number.
    pub fn link(&self, name: &Path) -> io::Result<()> {
        match std::fs::remove_file(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::os::unix::fs::symlink(&self.path, name)
    }

    /// What the gateway wrote. Waits while it wrote nothing, or has the other end not open.
    /// Cancel-safe.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.device, &mut *buffer) {
                // EIO: nobody is at the other end, which is no event that could be waited for; so
                // this end is asked again and again.
                Err(Errno::AGAIN | Errno::IO) => tokio::time::sleep(PAUSE).await,
                result => return Ok(result?),
            }
        }
    }

    /// What the gateway wrote, if it wrote something; `None` if nobody has the other end open.
    #[cfg(any(feature = "demo", feature = "testing"))]
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::io::read(&self.device, buffer) {
            Err(Errno::IO) => Ok(None),
            Err(Errno::AGAIN) => Ok(Some(0)),
            result => Ok(Some(result?)),
        }
    }

    /// Writes what the gateway is to read. What it does not read before its buffer is full gets lost, as on
    /// a serial line.
    #[cfg(any(feature = "demo", feature = "testing"))]
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<()> {
        match rustix::io::write(&self.device, bytes) {
            Err(Errno::AGAIN | Errno::IO) => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }

    /// Writes what the gateway is to read.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.device, bytes) {
                Err(Errno::AGAIN) => tokio::time::sleep(PAUSE).await,
                written => bytes = &bytes[written?..],
            }
        }
        Ok(())
    }
}

/// How often an end that had nothing is asked again.
const PAUSE: Duration = Duration::from_millis(2);
