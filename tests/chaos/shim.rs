//! Faults of the machine that a test cannot make from outside of the gateway: see `shim.c`.

use crate::support::preload;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Shim {
    library: PathBuf,
    control: PathBuf,
    file: File,
}

impl Shim {
    /// Compiles it into a folder. For the gateway time runs `rate` times as fast.
    pub fn build(folder: &Path, rate: u64) -> Shim {
        let library = folder.join("shim.so");
        preload::compile("chaos/shim.c", &library);
        let control = folder.join("shim");
        std::fs::write(&control, [0; 56]).unwrap();
        let file = File::options().read(true).write(true).open(&control).unwrap();
        file.write_all_at(&rate.to_ne_bytes(), 32).unwrap();
        Shim { library, control, file }
    }

    /// The gateway that this starts is subject to it.
    pub fn preload(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("SHIM", &self.control);
    }

    /// The gateway's wall clock is so many seconds off from now on.
    pub fn step_clock(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// Each fsync takes so many milliseconds longer.
    pub fn delay_fsync(&self, milliseconds: u64) {
        self.file.write_all_at(&milliseconds.to_ne_bytes(), 8).unwrap();
    }

    /// Listing the journal's folder takes so many milliseconds longer.
    pub fn delay_listing(&self, milliseconds: u64) {
        self.file.write_all_at(&milliseconds.to_ne_bytes(), 40).unwrap();
    }

    /// How often listing it took longer.
    pub fn listed(&self) -> u64 {
        self.read(48)
    }

    /// How often the gateway read a clock that was off.
    pub fn shifted(&self) -> u64 {
        self.read(16)
    }

    /// How often an fsync took longer.
    pub fn delayed(&self) -> u64 {
        self.read(24)
    }

    fn read(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at).unwrap();
        u64::from_ne_bytes(bytes)
    }
}
