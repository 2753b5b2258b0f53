//! The client tests in the source of the Python package `paho-mqtt`: a fake broker that expects
//! every byte. `scripts/foreign` fetches them; in the place of their client scripts stand shims
//! that run this test binary once more, as the client of the scenario.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tests that do not pass, and why.
const DEVIATIONS: &[(&str, &str)] = &[
    ("test_03_publish_c2b_qos1_disconnect", NO_SESSION),
    ("test_03_publish_c2b_qos2_disconnect", NO_SESSION),
    ("test_03_publish_helper_qos1_disconnect", NO_SESSION),
    (
        "test_03_publish_helper_qos0_v5",
        "their CONNECT of 5.0 has no properties; ours says how much we take (3.1.2.11)",
    ),
    (
        "test_03_publish_fill_inflight",
        "expected to fail by themselves; they repeat each message twice, under two identifiers",
    ),
];

const NO_SESSION: &str = "their CONNACK says that there is no session any more, so nothing is \
    repeated with DUP: the message is sent anew (3.2.2.1.1); tests/conformance has it with a session";

/// Tests of paho's own functions, which no client of ours can take part in.
const NOT_OURS: &[&str] = &["test_08_ssl_bad_cacert"];

const SHIM: &str = r#"import os
import sys

name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
client = os.environ["FOREIGN_CLIENT"]
arguments = [client, "--ignored", "--exact", "foreign::scenario::client", "--nocapture"]
os.execve(client, arguments, dict(os.environ, FOREIGN_SCENARIO=name))
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/foreign")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap().is_dir() {
            true => copy(&from, &to),
            false => drop(std::fs::copy(&from, &to).unwrap()),
        }
    }
}

/// A copy of the tests with our shims, and with certificates that are not past their time.
fn prepare() -> PathBuf {
    let from = root().join("paho/tests");
    assert!(from.exists(), "{}: not there; `make deps` fetches it", from.display());
    let to = root().join("paho-run");
    let _ = std::fs::remove_dir_all(&to);
    copy(&from, &to.join("tests"));
    for script in std::fs::read_dir(to.join("tests/lib/clients")).unwrap() {
        std::fs::write(script.unwrap().path(), SHIM).unwrap();
    }
    let ssl = to.join("tests/ssl");
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let ours = authority("ours");
    for (file, authority) in [("all-ca", &ours), ("test-fake-root-ca", &authority("fake"))] {
        std::fs::write(ssl.join(format!("{file}.crt")), authority.pem()).unwrap();
    }
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        let certificate = params.signed_by(&key, &ours).unwrap();
        std::fs::write(ssl.join(format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(ssl.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    // One more key of the client, encrypted.
    std::fs::copy(ssl.join("client.crt"), ssl.join("client-pw.crt")).unwrap();
    let encrypted = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:password"])
        .args(["-in", "client.key", "-out", "client-pw.key"])
        .current_dir(&ssl)
        .status();
    assert!(encrypted.unwrap().success());
    std::fs::write(ssl.join("client-pw.txt"), "password\n").unwrap();
    to
}

/// Whether each test passed, with what was said of those that did not.
fn run(folder: &Path, tests: &[PathBuf]) -> BTreeMap<String, Result<(), String>> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/python");
    let output = Command::new(python)
        .args(["-m", "pytest", "-q", "-rA", "--tb=short", "-p", "no:cacheprovider", "-c"])
        .arg("/dev/null")
        .args(["--rootdir", "."])
        .args(tests)
        .current_dir(folder)
        .env("PYTHONPATH", folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("FOREIGN_CLIENT", std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut results = BTreeMap::new();
    for line in text.lines() {
        // `PASSED tests/lib/test_x.py::test_x[False]`
        let Some((verdict, test)) = line.split_once(' ') else { continue };
        let Some((_, name)) = test.split_once("::") else { continue };
        let name = name.split([' ', '[']).next().unwrap().to_owned();
        match verdict {
            "PASSED" => drop(results.entry(name).or_insert(Ok(()))),
            "FAILED" | "ERROR" | "XFAIL" => drop(results.insert(name, Err(text.clone()))),
            _ => {}
        }
    }
    assert!(!results.is_empty(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    results
}

#[test]
fn the_client_passes_the_tests_of_paho() {
    needs!(foreign, openssl);
    let folder = prepare();
    let lib = folder.join("tests/lib");
    let mut tests: Vec<PathBuf> =
        std::fs::read_dir(lib).unwrap().map(|entry| entry.unwrap().path()).collect();
    let is_test = |path: &Path| path.file_name().unwrap().to_str().unwrap().starts_with("test_");
    tests.retain(|path| is_test(path));
    tests.sort();
    // They wait for each other most of the time.
    let results: BTreeMap<_, _> = std::thread::scope(|scope| {
        let folder = &folder;
        let chunks = tests.chunks(tests.len().div_ceil(4));
        let runs: Vec<_> = chunks.map(|chunk| scope.spawn(move || run(folder, chunk))).collect();
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    let mut deviations: BTreeMap<&str, &str> = DEVIATIONS.iter().copied().collect();
    let mut wrong = String::new();
    for (name, result) in &results {
        match (result, deviations.remove(name.as_str())) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Ok(()), Some(_)) => wrong += &format!("{name} no longer deviates\n"),
            (Err(output), None) => wrong += &format!("{name} fails:\n{output}\n"),
        }
    }
    for name in deviations.keys() {
        wrong += &format!("there is no {name}\n");
    }
    for name in NOT_OURS {
        assert!(results.contains_key(*name), "there is no {name}");
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(results.len() >= 33, "only {} tests", results.len());
}
