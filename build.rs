//! Lists the device files of `config/devices`, so that a new file is in the program without another word.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let folder = Path::new(&root).join("config/devices");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=config/devices");
    // Router builds leave the feature out, and what they are built from need not have the folder.
    if env::var_os("CARGO_FEATURE_LIBRARY").is_none() {
        return Ok(());
    }
    let mut files: Vec<_> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .filter(|path| !matches!(path, Ok(path) if path.extension().is_none_or(|e| e != "yaml")))
        .collect::<io::Result<_>>()?;
    files.sort();
    let mut table = String::from("[");
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        table += &format!("({name:?}, include_str!({:?})), ", file.display().to_string());
    }
    table += "]";
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("device_files.rs"), table)
}
