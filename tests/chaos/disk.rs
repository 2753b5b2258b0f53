//! A small disk for the journal: a tmpfs in a namespace of its own, which needs no rights and leaves
//! nothing behind. It can be filled up and be made read-only.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

pub struct Disk {
    /// Where it is mounted, for who is in the namespace.
    pub path: PathBuf,
    holder: Child,
    /// The namespace lasts until this closes, whatever becomes of the test.
    _open: ChildStdin,
}

impl Disk {
    /// One of so many MiB, mounted on a folder.
    pub fn mount(folder: &Path, size: u32) -> Disk {
        let path = folder.join("disk");
        std::fs::create_dir(&path).unwrap();
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg("mount -t tmpfs -o size=$1m tmpfs \"$2\" && echo mounted && exec cat")
            .arg("sh")
            .arg(size.to_string())
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let open = holder.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n", "no tmpfs: are user namespaces forbidden on this machine?");
        Disk { path, holder, _open: open }
    }

    /// A command for a program that sees the disk; the program takes the place of the command's
    /// process.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--preserve-credentials", "--user", "--mount", "--target"])
            .arg(self.holder.id().to_string())
            .arg("--")
            .arg(program);
        command
    }

    /// The disk as this process sees it.
    pub fn outside(&self) -> PathBuf {
        let inside = self.path.strip_prefix("/").unwrap();
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(inside)
    }

    /// Writes until nothing more fits.
    pub fn fill(&self) {
        let mut ballast = File::create(self.outside().join("ballast")).unwrap();
        for size in [64 << 10, 4096, 1] {
            let block = vec![0; size];
            let error = loop {
                if let Err(error) = ballast.write_all(&block) {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        }
    }

    /// Takes away what [`Disk::fill`] wrote.
    pub fn empty(&self) {
        std::fs::remove_file(self.outside().join("ballast")).unwrap();
    }

    /// Only while no file on it is open for writing.
    pub fn remount(&self, options: &str) {
        let mut command = self.command("mount");
        let status = command.args(["-o", &format!("remount,{options}")]).arg(&self.path).status();
        assert!(status.unwrap().success());
    }

    /// Whether one of its files contains these bytes.
    pub fn contains(&self, text: &str) -> bool {
        let mut folders = vec![self.outside()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = std::fs::read(&path)
                    && bytes.windows(text.len()).any(|part| part == text.as_bytes())
                {
                    return true;
                }
            }
        }
        false
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
