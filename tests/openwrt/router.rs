//! A router in a folder: our scripts as they are packed, run by busybox's ash, with stand-ins for
//! those parts of OpenWrt that they call. In the scripts only the absolute paths are changed.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const FOLDERS: [&str; 6] = ["etc", "var", "usr", "lib", "sbin", "tmp"];

/// What the scripts call. Each notes its arguments and its environment.
const PROGRAMS: [&str; 17] = [
    "cat", "chgrp", "chmod", "chown", "cmp", "cut", "grep", "id", "logger", "mkdir", "mv", "rm",
    "sed", "tr", "tty2mqtt", "ubus", "wc",
];

pub struct Router {
    root: TempDir,
}

impl Router {
    /// With the package just unpacked, and its user there: the one who runs the test.
    pub fn new() -> Router {
        let router = Router { root: tempfile::tempdir().unwrap() };
        let root = router.root.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (mode, file, place) in places() {
            let place = router.path(&place);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            let text = fs::read_to_string(here.join("openwrt/files").join(&file)).unwrap();
            let is_data = file.ends_with(".yaml") || file.ends_with(".config");
            let text = if is_data { text } else { router.rooted(&text) };
            fs::write(&place, text).unwrap();
            fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
        }
        for (file, place) in [
            ("rc.common", "/etc/rc.common"),
            ("functions.sh", "/lib/functions.sh"),
            ("procd.sh", "/lib/functions/procd.sh"),
        ] {
            let text = fs::read_to_string(here.join("tests/openwrt/router").join(file)).unwrap();
            router.write(place, &router.rooted(&text));
        }
        let recorded = fs::read_to_string(here.join("tests/openwrt/router/recorded")).unwrap();
        let recorded = recorded.replace("@ROOT@", &root.display().to_string());
        router.write("/recorded", &format!("#!{} ash\n{recorded}", busybox().display()));
        // A script's first line takes one argument only.
        let rc = "#!/bin/sh\nexec \"$BUSYBOX\" ash /etc/rc.common \"$@\"\n";
        router.write("/rc", &router.rooted(rc));
        for file in ["/recorded", "/rc"] {
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(router.path(file), executable).unwrap();
        }
        for folder in ["/bin", "/usr/bin", "/var/run", "/tmp"] {
            fs::create_dir_all(router.path(folder)).unwrap();
        }
        for program in PROGRAMS {
            symlink(router.path("/recorded"), router.path("/bin").join(program)).unwrap();
        }
        symlink(router.path("/recorded"), router.path("/usr/bin/tty2mqtt")).unwrap();
        router.user(rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        router.write("/ports", "No serial port is there.\n");
        router.write("/etc/passwd", "root:x:0:0:root:/root:/bin/ash\n");
        router.write("/etc/group", "root:x:0:\ndialout:x:20:\n");
        router
    }

    /// A place of the router on this machine.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// Who the gateway's user is.
    pub fn user(&self, uid: u32, gid: u32) {
        self.write("/user", &format!("{uid}:{gid}\n"));
    }

    /// User and group of the gateway, by their numbers.
    pub fn ids(&self) -> (u32, u32) {
        let ids = self.read("/user");
        let (uid, gid) = ids.trim().split_once(':').unwrap();
        (uid.parse().unwrap(), gid.parse().unwrap())
    }

    /// The section `main` of /etc/config/tty2mqtt, as `uci export` prints it.
    pub fn uci(&self, options: &[(&str, &str)]) {
        let options = options.iter().map(|(name, value)| {
            // `uci export` writes a quote as '\''.
            format!("\toption {name} '{}'\n", value.replace('\'', r"'\''"))
        });
        let options: String = options.collect();
        self.write("/etc/config/tty2mqtt", &format!("config tty2mqtt 'main'\n{options}"));
    }

    /// The configuration, with the control socket within the router.
    pub fn config(&self, text: &str) {
        let socket = self.path("/var/run/tty2mqtt/control.sock");
        let text = format!("control: {}\n{text}", socket.display());
        self.write("/etc/tty2mqtt/config.yaml", &text);
    }

    /// `service tty2mqtt ACTION`
    pub fn service(&self, action: &str) -> Output {
        self.ash(&["/etc/rc.common", "/etc/init.d/tty2mqtt"], &[action], &[])
    }

    /// As procd runs the scripts of a plugged device.
    pub fn hotplug(&self, action: &str, tty: &str) {
        let script = ["/etc/hotplug.d/tty/50-tty2mqtt"];
        let out = self.sourced(&script, &[("ACTION", action), ("DEVNAME", tty)]);
        assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// As an installation and the first start of an image run it; it would be removed then.
    pub fn defaults(&self) {
        let out = self.sourced(&["/etc/uci-defaults/50-tty2mqtt"], &[]);
        assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    }

    fn sourced(&self, script: &[&str], variables: &[(&str, &str)]) -> Output {
        self.write("/source", "( . \"$1\" )\n");
        let mut files = vec!["/source"];
        files.extend(script);
        self.ash(&files, &[], variables)
    }

    fn ash(&self, files: &[&str], words: &[&str], variables: &[(&str, &str)]) -> Output {
        Command::new(busybox())
            .arg("ash")
            .args(files.iter().map(|file| self.path(file)))
            .args(words)
            .envs(variables.iter().copied())
            .env("PATH", self.path("/bin"))
            .env("BUSYBOX", busybox())
            .env("REAL", env!("CARGO_BIN_EXE_tty2mqtt"))
            .output()
            .unwrap()
    }

    /// Asks the running gateway; what is answered.
    pub fn tty2mqtt(&self, words: &[&str]) -> String {
        let out = Command::new(env!("CARGO_BIN_EXE_tty2mqtt"))
            .args(words)
            .arg("--socket")
            .arg(self.path("/var/run/tty2mqtt/control.sock"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    }

    /// What went to the system's log so far, `priority tag: text`, in the router's own paths.
    pub fn log(&self) -> String {
        self.unrooted(&self.read("/log"))
    }

    /// What was said to procd so far: the method and its argument.
    pub fn ubus(&self) -> Vec<(String, Value)> {
        let text = self.unrooted(&self.read("/ubus"));
        text.lines()
            .map(|line| {
                let (method, argument) = line.split_once(' ').unwrap();
                (method.to_owned(), serde_json::from_str(argument).unwrap())
            })
            .collect()
    }

    /// The instances of the last `set`.
    pub fn instances(&self) -> Value {
        let (method, argument) = self.ubus().pop().unwrap();
        assert_eq!(method, "set");
        argument["instances"].clone()
    }

    /// Arguments and environment of all programs that ran.
    pub fn trace(&self) -> String {
        self.unrooted(&self.read("/trace"))
    }

    /// A text of this machine with the router's own paths.
    pub fn unrooted(&self, text: &str) -> String {
        text.replace(&self.root.path().display().to_string(), "")
    }

    /// A script with the paths of this machine.
    pub fn rooted(&self, script: &str) -> String {
        let root = self.root.path().display().to_string();
        let mut out = String::new();
        let mut before = ' ';
        for (at, c) in script.char_indices() {
            let is_path = c == '/'
                && !before.is_ascii_alphanumeric()
                && !"_.}/*\\".contains(before)
                && FOLDERS.iter().any(|folder| {
                    script[at + 1..].strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
                });
            if is_path {
                out.push_str(&root);
            }
            out.push(c);
            before = c;
        }
        let shell = format!("#!{} ash\n", busybox().display());
        let out = out.replacen(
            &format!("#!/bin/sh {root}/etc/rc.common\n"),
            &format!("#!{root}/rc\n"),
            1,
        );
        out.replacen("#!/bin/sh\n", &shell, 1)
    }
}

/// What the feed's Makefile installs of `openwrt/files`: mode, file, place.
fn places() -> Vec<(u32, String, String)> {
    let makefile = Path::new(env!("CARGO_MANIFEST_DIR")).join("openwrt/Makefile");
    let makefile = fs::read_to_string(makefile).unwrap();
    let lines = makefile.lines().filter(|line| line.contains(" ./files/"));
    let places = lines.map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [how, file, place] => {
            let mode = match how {
                "$(INSTALL_BIN)" => 0o755,
                "$(INSTALL_CONF)" => 0o600,
                "$(INSTALL_DATA)" => 0o644,
                _ => panic!("{line}"),
            };
            (mode, file.replace("./files/", ""), place.replace("$(1)", ""))
        }
        _ => panic!("{line}"),
    });
    let places: Vec<_> = places.collect();
    let all = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("openwrt/files")).unwrap();
    assert_eq!(places.len(), all.count(), "openwrt/Makefile does not install every file");
    places
}

fn busybox() -> PathBuf {
    crate::support::needs::find("busybox").expect("busybox is installed: `make deps`")
}
