//! ser2net, a serial server.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

pub struct Ser2net {
    child: Child,
    _folder: TempDir,
}

impl Ser2net {
    /// `accepters` are pairs of accepter and connector.
    pub fn start(accepters: &[(String, String)], ready: u16) -> Ser2net {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ser2net.yaml");
        let mut text = String::from("%YAML 1.1\n---\n");
        for (n, (accepter, connector)) in accepters.iter().enumerate() {
            text +=
                &format!("connection: &c{n}\n  accepter: {accepter}\n  connector: {connector}\n");
        }
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("ser2net");
        command.args(["-n", "-u", "-c"]).arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("ser2net is not installed; scripts/deps installs it");
        let deadline = Instant::now() + super::DEADLINE;
        while TcpStream::connect(("127.0.0.1", ready)).is_err() {
            assert!(Instant::now() < deadline, "ser2net does not listen");
            std::thread::yield_now();
        }
        Ser2net { child, _folder: folder }
    }
}

impl Drop for Ser2net {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
