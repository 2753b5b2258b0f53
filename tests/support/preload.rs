//! Small libraries in C, between the gateway and its machine.

use std::path::Path;
use std::process::Command;

/// Compiles a source of `tests` for LD_PRELOAD.
pub fn compile(source: &str, library: &Path) {
    let status = Command::new("cc")
        .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(library)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(source))
        .arg("-ldl")
        .status()
        .expect("gcc is installed: `make deps`");
    assert!(status.success());
}
