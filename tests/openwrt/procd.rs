//! What procd does with the instance of a service: starts it, signals it if something about it
//! changed, ends it.

use crate::router::Router;
use crate::support::lines::Lines;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

pub struct Procd<'a> {
    router: &'a Router,
    /// How many calls were heard already.
    heard: usize,
    running: Option<Running>,
}

struct Running {
    child: Child,
    instance: Value,
    files: Vec<String>,
    /// What procd logs as daemon.info and daemon.err.
    info: Lines,
    err: Lines,
}

impl Procd<'_> {
    pub fn new(router: &Router) -> Procd<'_> {
        Procd { router, heard: 0, running: None }
    }

    /// Does what it was told since.
    pub fn obey(&mut self) {
        let calls = self.router.ubus();
        for (method, argument) in calls.iter().skip(self.heard) {
            match method.as_str() {
                "delete" => self.end(),
                "set" => match &argument["instances"]["tty2mqtt"] {
                    Value::Null => self.end(),
                    instance => self.set(instance),
                },
                _ => panic!("{method}"),
            }
        }
        self.heard = calls.len();
    }

    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    pub fn info(&self) -> &Lines {
        &self.running().info
    }

    pub fn err(&self) -> &Lines {
        &self.running().err
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it does not run")
    }

    fn set(&mut self, instance: &Value) {
        let files = instance["file"].as_array().unwrap().iter();
        let files: Vec<_> = files.map(|file| self.router.read(file.as_str().unwrap())).collect();
        if let Some(running) = &mut self.running {
            if running.instance != *instance || running.files != files {
                assert_eq!(instance["reload_signal"], 1);
                kill_process(Pid::from_child(&running.child), Signal::HUP).unwrap();
            }
            running.instance = instance.clone();
            running.files = files;
            return;
        }
        let words = instance["command"].as_array().unwrap().iter();
        let words: Vec<_> = words.map(|word| self.router.rooted(word.as_str().unwrap())).collect();
        assert!(words[0].ends_with("/usr/bin/tty2mqtt"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"));
        let (uid, gid) = self.router.ids();
        if rustix::process::geteuid().as_raw() != uid {
            command.uid(uid).gid(gid);
        }
        let mut child = command
            .args(&words[1..])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let info = Lines::of(child.stdout.take().unwrap());
        let err = Lines::of(child.stderr.take().unwrap());
        self.running = Some(Running { child, instance: instance.clone(), files, info, err });
    }

    fn end(&mut self) {
        if let Some(mut running) = self.running.take() {
            kill_process(Pid::from_child(&running.child), Signal::TERM).unwrap();
            let status = running.child.wait().unwrap();
            assert!(status.success(), "{status}: {}", running.err.rest());
        }
    }
}

impl Drop for Procd<'_> {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}
