//! Lists the device files of `config/devices`, so that a new file is in the program without another word.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new("config/devices");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<_> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .filter(|path| !matches!(path, Ok(path) if path.extension().is_none_or(|e| e != "yaml")))
        .collect::<io::Result<_>>()?;
    files.sort();
    let mut table = String::from("[");
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file)?;
        // The cases come last, and are three quarters of a file.
        let end = text.find("\ncases:\n").map_or(text.len(), |end| end + 1);
        table += &format!("({name:?}, {:?}), ", &text[..end]);
    }
    table += "]";
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("device_files.rs"), table)
}
