//! The library's archive, a gzipped tar of device files: read as a stream, with memory for one file at a time.

use super::Source;
use crate::base::path::BuildError;
use crate::config::file::{self, FileError};
use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Most bytes of the archive's content: some thousands of device files.
const LARGEST: usize = 4 << 20;

/// Most bytes of one file in it.
const LARGEST_FILE: usize = 256 << 10;

/// A record of a tar: a header, or a part of a file.
const RECORD: usize = 512;

/// The device files of an archive. Behind an error nothing comes.
pub(super) struct Archive {
    /// What it is called in messages.
    file: String,
    /// Gone when all of it was read.
    content: Option<Gunzip>,
}

impl Archive {
    /// `None`: there is no such file.
    pub(super) fn open(path: &Path) -> Result<Option<Archive>, BuildError> {
        let file = path.display().to_string();
        match file::open(path) {
            Ok(input) if input.metadata().is_ok_and(|input| input.len() > file::LARGEST) => {
                Err(wrong(&file, &unfit("it has more than 1 MiB").into()))
            }
            Ok(input) => Ok(Some(Archive { file, content: Some(Gunzip::new(input)) })),
            Err(FileError::Io(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(wrong(&file, &error)),
        }
    }

    /// The next device file; `None` at the end, when the checksum is right.
    fn entry(&mut self) -> Result<Option<Source>, FileError> {
        let Some(content) = &mut self.content else { return Ok(None) };
        let mut record = [0; RECORD];
        loop {
            content.read_exact(&mut record)?;
            if record.iter().all(|byte| *byte == 0) {
                io::copy(content, &mut io::sink())?;
                self.content = None;
                return Ok(None);
            }
            let Header { name, size } = Header::read(&record)?;
            let padding = size.next_multiple_of(RECORD) - size;
            let name = name.filter(|name| super::is_name(name));
            let Some(name) = name else {
                skip(content, size + padding)?;
                continue;
            };
            if size > LARGEST_FILE {
                return Err(unfit(&format!("{name}.yaml in it has more than 256 KiB")).into());
            }
            let mut bytes = vec![0; size];
            content.read_exact(&mut bytes)?;
            skip(content, padding)?;
            let text =
                file::text(bytes).map_err(|error| unfit(&format!("{name}.yaml in it: {error}")))?;
            let file = format!("{}/{name}.yaml", self.file);
            return Ok(Some(Source { name, file, text }));
        }
    }
}

impl Iterator for Archive {
    type Item = Result<Source, BuildError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entry().transpose().map(|read| {
            read.map_err(|error| {
                self.content = None;
                wrong(&self.file, &error)
            })
        })
    }
}

fn wrong(file: &str, error: &FileError) -> BuildError {
    let what = match error {
        FileError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => "it is cut off".into(),
        error => BuildError::from(error).what.clone(),
    };
    let remedy = "install the package tty2mqtt-devices again, or remove the file";
    BuildError::new(format!("cannot read {file}: {what}")).remedy(remedy)
}

fn unfit(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// Reads so many bytes that nobody wants.
fn skip(content: &mut impl Read, bytes: usize) -> io::Result<()> {
    let skipped = io::copy(&mut content.take(bytes as u64), &mut io::sink())?;
    if skipped == bytes as u64 { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// Of the header of a file in a tar (POSIX.1-2008, pax, "ustar Interchange Format").
struct Header {
    /// Without folder and `.yaml`; `None` for what is no device file.
    name: Option<String>,
    size: usize,
}

impl Header {
    fn read(record: &[u8; RECORD]) -> io::Result<Header> {
        let field = |from: usize, length: usize| &record[from..from + length];
        // The checksum's own field is taken for blanks.
        let sum: usize = record.iter().map(|byte| usize::from(*byte)).sum();
        let own: usize = field(148, 8).iter().map(|byte| usize::from(*byte)).sum();
        let (Some(checksum), Some(size)) = (octal(field(148, 8)), octal(field(124, 12))) else {
            return Err(unfit("it is no tar"));
        };
        if sum - own + 8 * usize::from(b' ') != checksum {
            return Err(unfit("it is no tar"));
        }
        if size > LARGEST {
            return Err(unfit("its content is too large"));
        }
        let is_file = matches!(record[156], 0 | b'0');
        let name = field(0, 100).split(|byte| *byte == 0).next().unwrap_or_default();
        let name = std::str::from_utf8(name).ok().filter(|_| is_file);
        let name = name.and_then(|name| name.rsplit('/').next()?.strip_suffix(".yaml"));
        Ok(Header { name: name.map(str::to_owned), size })
    }
}

/// Octal digits, with blanks or NULs around them.
fn octal(field: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    usize::from_str_radix(text, 8).ok()
}

static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// The content of a gzip file (RFC 1952). What is behind its first member does not count.
struct Gunzip {
    input: Input,
    inflate: Box<DecompressorOxide>,
    /// The last 32 KiB of the content, as a ring: deflate repeats from there (RFC 1951, 2).
    window: Box<[u8]>,
    /// Where the next byte of the content comes in `window`.
    at: usize,
    /// Where the next byte stands that was not read, and how many these are.
    unread: (usize, usize),
    /// Of the content so far, its checksum and its length.
    digest: Digest<'static, u32, Table<1>>,
    length: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Header,
    Content,
    End,
}

/// A power of two, so that the ring's places are numbers of as many bits.
const WINDOW: usize = 32 << 10;

impl Gunzip {
    fn new(file: File) -> Gunzip {
        Gunzip {
            input: Input { file, piece: Box::new([0; 4096]), at: 0, end: 0 },
            inflate: Box::default(),
            window: vec![0; WINDOW].into(),
            at: 0,
            unread: (0, 0),
            digest: CRC.digest(),
            length: 0,
            state: State::Header,
        }
    }

    /// Until there is content to read, or no more of it.
    fn fill(&mut self) -> io::Result<()> {
        if self.state == State::Header {
            self.header()?;
            self.state = State::Content;
        }
        while self.unread.1 == 0 && self.state == State::Content {
            if self.input.is_empty() {
                self.input.fill()?;
            }
            let more = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
            // `at` and `end` are places in it, in this order.
            let input = &self.input.piece[self.input.at..self.input.end];
            let (status, taken, made) =
                decompress(&mut self.inflate, input, &mut self.window, self.at, more);
            self.input.at += taken;
            // It ends at the ring's end, so that what it made is in one piece.
            let made_here = &self.window[self.at..self.at + made];
            self.digest.update(made_here);
            self.length += made;
            if self.length > LARGEST {
                return Err(unfit("its content is too large"));
            }
            self.unread = (self.at, made);
            self.at = (self.at + made) % WINDOW;
            match status {
                TINFLStatus::Done => self.trailer()?,
                TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => {}
                _ => return Err(unfit("it is damaged")),
            }
        }
        Ok(())
    }

    fn header(&mut self) -> io::Result<()> {
        let header: [u8; 10] = self.input.bytes()?;
        let [0x1f, 0x8b, 8, flags, ..] = header else { return Err(unfit("it is no gzip file")) };
        if flags & 4 != 0 {
            let length = u16::from_le_bytes(self.input.bytes()?);
            for _ in 0..length {
                self.input.byte()?;
            }
        }
        // Name and comment end with a NUL.
        for flag in [8, 16] {
            while flags & flag != 0 && self.input.byte()? != 0 {}
        }
        if flags & 2 != 0 {
            let _: [u8; 2] = self.input.bytes()?;
        }
        Ok(())
    }

    fn trailer(&mut self) -> io::Result<()> {
        let trailer: [u8; 8] = self.input.bytes()?;
        let digest = std::mem::replace(&mut self.digest, CRC.digest());
        let length = u32::try_from(self.length).unwrap_or(u32::MAX);
        let expected = [digest.finalize().to_le_bytes(), length.to_le_bytes()].concat();
        if trailer != *expected {
            return Err(unfit("it is damaged: its checksum is wrong"));
        }
        self.state = State::End;
        Ok(())
    }
}

impl Read for Gunzip {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let (from, length) = self.unread;
        let taken = length.min(out.len());
        out[..taken].copy_from_slice(&self.window[from..from + taken]);
        self.unread = (from + taken, length - taken);
        Ok(taken)
    }
}

/// A file, read in pieces.
struct Input {
    file: File,
    piece: Box<[u8; 4096]>,
    /// What of the piece was not used yet.
    at: usize,
    end: usize,
}

impl Input {
    fn is_empty(&self) -> bool {
        self.at == self.end
    }

    /// The next piece, in the place of one that was used up.
    fn fill(&mut self) -> io::Result<()> {
        (self.at, self.end) = (0, self.file.read(&mut *self.piece)?);
        if self.end == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn byte(&mut self) -> io::Result<u8> {
        if self.is_empty() {
            self.fill()?;
        }
        // Behind `fill` there is one at least.
        self.at += 1;
        Ok(self.piece[self.at - 1])
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::compress_to_vec;

    /// A tar of files and folders, a folder having no content.
    fn tar(entries: &[(&str, Option<&str>)]) -> Vec<u8> {
        let mut tar = Vec::new();
        for (name, content) in entries {
            let mut header = [0; RECORD];
            header[..name.len()].copy_from_slice(name.as_bytes());
            let size = format!("{:011o}", content.map_or(0, str::len));
            header[124..135].copy_from_slice(size.as_bytes());
            header[156] = if content.is_some() { b'0' } else { b'5' };
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
            tar.extend(header);
            tar.extend(content.unwrap_or_default().as_bytes());
            tar.resize(tar.len().next_multiple_of(RECORD), 0);
        }
        tar.resize(tar.len() + 2 * RECORD, 0);
        tar
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let sum = CRC.checksum(content).to_le_bytes();
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        let head = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03devices.tar\0".as_slice();
        [head, &compress_to_vec(content, 6), &sum, &length].concat()
    }

    /// Names and texts of an archive's files.
    fn read(archive: &[u8]) -> Result<Vec<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices.tar.gz");
        std::fs::write(&path, archive).unwrap();
        let all = Archive::open(&path).map(|archive| archive.unwrap().collect::<Vec<_>>());
        let all = all.and_then(|all| all.into_iter().collect::<Result<Vec<_>, _>>());
        let shown = |it: BuildError| it.to_string().replace(&path.display().to_string(), "FILE");
        let all = all.map_err(shown)?;
        assert!(all.iter().all(|source| source.file.ends_with(".gz/a.yaml") || source.name != "a"));
        Ok(all.into_iter().map(|source| (source.name, source.text)).collect())
    }

    #[test]
    fn the_device_files_of_an_archive_are_read_and_all_else_is_passed_over() {
        let long = "# a comment of the length of a window\n".repeat(2000);
        let entries = [
            ("./", None),
            ("./a.yaml", Some("make: A\n")),
            ("README", Some("no device file")),
            ("devices/.hidden.yaml", Some("nor this")),
            ("devices/b.yaml", Some(&*long)),
            ("c.yaml", Some("")),
        ];
        let files = read(&gzip(&tar(&entries))).unwrap();
        let expected = [("a", "make: A\n"), ("b", &long), ("c", "")];
        assert_eq!(files, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert_eq!(read(&gzip(&[0; 2 * RECORD])), Ok(vec![]));
        let none = Archive::open(Path::new("/nowhere/devices.tar.gz"));
        assert!(none.unwrap().is_none());
    }

    #[test]
    fn no_archive_that_is_cut_off_or_damaged_is_read_to_its_end() {
        let text: String = (0..100).map(|n| format!("value_{n}: {}\n", n * n)).collect();
        let whole = gzip(&tar(&[("a.yaml", Some(&text))]));
        let right = read(&whole).unwrap();
        for length in 0..whole.len() {
            let why = read(&whole[..length]).unwrap_err();
            let expected = "cannot read FILE: it is cut off; install the package tty2mqtt-devices again, or \
                            remove the file";
            assert_eq!(why, expected, "{length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x20;
            match read(&damaged) {
                // Time, system and name, or bits that nobody reads.
                Ok(read) => assert_eq!(read, right, "byte {at}"),
                Err(why) => assert!(why.starts_with("cannot read FILE: "), "{why}"),
            }
        }
        assert!(read(b"make: A\n# no archive").unwrap_err().contains("it is no gzip file"));
        assert!(read(&gzip(&[b'x'; 3 * RECORD])).unwrap_err().contains("it is no tar"));
        let latin = tar(&[("a.yaml", Some("unit: ?\n"))]);
        let latin: Vec<u8> = latin.iter().map(|b| if *b == b'?' { 0xb0 } else { *b }).collect();
        let why = read(&gzip(&latin)).unwrap_err();
        assert!(why.contains("FILE: a.yaml in it: line 1 has the byte B0"), "{why}");
    }

    #[test]
    fn an_archive_that_swells_is_refused_before_it_does() {
        let swollen = gzip(&vec![0; 32 << 20]);
        assert!(swollen.len() < 300 << 10);
        assert!(read(&swollen).unwrap_err().contains("FILE: its content is too large"));
        let large = "x".repeat(LARGEST_FILE + 1);
        let why = read(&gzip(&tar(&[("a.yaml", Some(&large))]))).unwrap_err();
        assert!(why.contains("FILE: a.yaml in it has more than 256 KiB"), "{why}");
        assert!(read(&vec![0; 2 << 20]).unwrap_err().contains("FILE: it has more than 1 MiB"));
    }
}
