//! Small files, bounded: a wrong path must not fill a router's memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The system's bundle has 220 KB.
const LARGEST: u64 = 4 << 20;

/// A whole file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("the file has more than 4 MiB"));
    }
    Ok(bytes)
}

/// The first line of a file.
pub(super) fn first_line(path: &Path) -> io::Result<String> {
    let text = String::from_utf8(read(path)?).map_err(io::Error::other)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
