//! What no maintained crate offers as safe calls: a driver's counts of errors, RTS, RS-485, and waiting
//! for any descriptor.
//!
//! The only file with `unsafe`.
#![allow(unsafe_code)]

use rustix::io;
use rustix::ioctl::{Getter, Opcode, Setter, Updater, ioctl};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const IS_MIPS: bool = cfg!(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6"
));

// From asm/ioctls.h.
const TIOCGICOUNT: Opcode = if IS_MIPS { 0x5492 } else { 0x545D };
const TIOCMBIS: Opcode = if IS_MIPS { 0x741B } else { 0x5416 };
const TIOCMBIC: Opcode = if IS_MIPS { 0x741C } else { 0x5417 };
const TIOCGRS485: Opcode = if IS_MIPS { 0x4020_542E } else { 0x542E };
const TIOCSRS485: Opcode = if IS_MIPS { 0xC020_542F_u32 as Opcode } else { 0x542F };

/// From asm/termios.h: the line RTS among the modem lines.
const TIOCM_RTS: i32 = 4;

/// `struct serial_icounter_struct` of linux/serial.h.
pub(super) type Counts = [i32; 20];

/// `struct serial_rs485` of linux/serial.h: flags, the delays before and after a transmission in
/// milliseconds, and five words that are 0 or the addresses of a mode that is not used here.
pub(super) type Rs485 = [u32; 8];

/// What the driver has counted.
pub(super) fn counts(tty: impl AsFd) -> io::Result<Counts> {
    // SAFETY: TIOCGICOUNT writes one `serial_icounter_struct` and reads nothing. That struct is 20
    // ints on every architecture, which is what is given to it, and every value of an int is one of
    // an i32.
    unsafe { ioctl(tty, Getter::<TIOCGICOUNT, Counts>::new()) }
}

/// Switches RTS.
pub(super) fn set_rts(tty: impl AsFd, on: bool) -> io::Result<()> {
    // SAFETY: TIOCMBIS and TIOCMBIC read one int and write nothing.
    unsafe {
        match on {
            true => ioctl(tty, Setter::<TIOCMBIS, i32>::new(TIOCM_RTS)),
            false => ioctl(tty, Setter::<TIOCMBIC, i32>::new(TIOCM_RTS)),
        }
    }
}

/// How the driver switches the direction of an RS-485 line.
pub(super) fn rs485(tty: impl AsFd) -> io::Result<Rs485> {
    // SAFETY: TIOCGRS485 writes one `serial_rs485` and reads nothing. That struct is 32 bytes of
    // 32-bit words (and bytes in place of some of the last ones) on every architecture, and every
    // value of them is one of a u32.
    unsafe { ioctl(tty, Getter::<TIOCGRS485, Rs485>::new()) }
}

/// Asks the driver to switch the direction of an RS-485 line. `settings` is what it made of them
/// afterwards.
pub(super) fn set_rs485(tty: impl AsFd, settings: &mut Rs485) -> io::Result<()> {
    // SAFETY: TIOCSRS485 reads one `serial_rs485` and writes one over it, see above.
    unsafe { ioctl(tty, Updater::<TIOCSRS485, Rs485>::new(settings)) }
}

/// Watches a descriptor. Must be called within a runtime.
pub(super) fn watch(
    fd: Arc<OwnedFd>,
    interest: Interest,
) -> std::io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: an `OwnedFd` is open and the same for as long as it lives, and nobody can take it out of
    // this `Arc` while it is here.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::ioctl::opcode;

    #[test]
    fn numbers_that_are_made_of_a_size_fit_it() {
        // MIPS builds them as other calls are built; all others have taken them as they are.
        if IS_MIPS {
            assert_eq!(TIOCGRS485, opcode::read::<Rs485>(b'T', 0x2E));
            assert_eq!(TIOCSRS485, opcode::read_write::<Rs485>(b'T', 0x2F));
        }
        assert_eq!(size_of::<Rs485>(), 32);
    }

    #[test]
    fn what_is_no_serial_port_refuses_all_of_it() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(counts(&file), Err(io::Errno::NOTTY));
        assert_eq!(set_rts(&file, true), Err(io::Errno::NOTTY));
        assert_eq!(rs485(&file), Err(io::Errno::NOTTY));
        assert_eq!(set_rs485(&file, &mut [0; 8]), Err(io::Errno::NOTTY));
    }
}
