//! Our own certificate and key, in every form that openssl writes.

use crate::transport::certificates::{Authority, Identity, Server, localhost, pem, start};
use crate::transport::server::{connect, failure, works};
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::io::AsyncReadExt;
use tty2mqtt::mqtt::transport::settings::Pem;
use tty2mqtt::mqtt::transport::tls::TlsFault;
use tty2mqtt::mqtt::transport::{Connector, Settings};

pub fn openssl(folder: &Path, arguments: &str) {
    let status = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .stderr(Stdio::null())
        .status()
        .expect("openssl is installed: `make deps`");
    assert!(status.success(), "openssl {arguments}");
}

fn with(settings: &Settings, identity: &Identity) -> Settings {
    let mut settings = settings.clone();
    settings.tls.cert_file = pem(&identity.certificate);
    settings.tls.key_file = pem(&identity.key);
    settings
}

#[tokio::test]
async fn a_broker_that_wants_a_certificate() {
    let authority = Authority::new("ours");
    let other = Authority::new("theirs");
    let server = Server { clients: authority.pem(), ..Server::default() };
    let (address, mut seen) = start(server, &authority.sign(&["localhost"], |_| ())).await;
    let plain = localhost(address, &authority);
    let own = authority.sign(&["client"], |_| ());
    let mut stream = connect(with(&plain, &own)).await.unwrap();
    works(&mut stream).await;
    drop(stream);
    assert!(seen.recv().await.unwrap().certificate.is_some());

    // Without one, or with a wrong one. TLS 1.3 says so at the first read only.
    for (settings, expected) in [
        (plain.clone(), "wants a certificate of ours"),
        (with(&plain, &other.sign(&["client"], |_| ())), "does not take our certificate"),
    ] {
        let mut stream = connect(settings).await.unwrap();
        let error = stream.io.read_u8().await.unwrap_err();
        let sentence = TlsFault::of(error).to_string();
        assert!(sentence.contains(expected), "{sentence}");
        assert!(!seen.recv().await.unwrap().done);
    }
    // TLS 1.2 in the handshake.
    let server = Server {
        clients: authority.pem(),
        versions: Some(crate::transport::certificates::ONLY_1_2),
        ..Server::default()
    };
    let (address, _) = start(server, &authority.sign(&["localhost"], |_| ())).await;
    let error = failure(localhost(address, &authority)).await;
    assert!(error.contains("TLS with localhost"), "{error}");
}

#[tokio::test]
async fn keys_of_every_form() {
    needs!(openssl);
    let authority = Authority::new("ours");
    let server = Server { clients: authority.pem(), ..Server::default() };
    let (address, mut seen) = start(server, &authority.sign(&["localhost"], |_| ())).await;
    let own = authority.sign(&["client"], |_| ());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key.pem"), &own.key).unwrap();
    std::fs::write(folder.path().join("password"), "geheim\nsecond line\n").unwrap();
    let encrypt = "pkcs8 -topk8 -in key.pem -passout pass:geheim -out";
    for (form, arguments) in [
        ("aes", format!("{encrypt} aes.pem -v2 aes-256-cbc")),
        ("aes128", format!("{encrypt} aes128.pem -v2 aes-128-cbc -iter 100000")),
        ("des3", format!("{encrypt} des3.pem -v2 des3")),
        ("sha1", format!("{encrypt} sha1.pem -v2 des3 -v2prf hmacWithSHA1")),
        ("sha512", format!("{encrypt} sha512.pem -v2 aes-192-cbc -v2prf hmacWithSHA512")),
        ("scrypt", format!("{encrypt} scrypt.pem -scrypt")),
        ("plain", "pkcs8 -topk8 -nocrypt -in key.pem -out plain.pem".into()),
        ("sec1", "ec -in key.pem -out sec1.pem".into()),
    ] {
        openssl(folder.path(), &arguments);
        let mut settings = with(&localhost(address, &authority), &own);
        settings.tls.key_file = Some(Pem::File(folder.path().join(format!("{form}.pem"))));
        settings.tls.key_password_file = Some(folder.path().join("password"));
        let mut stream = connect(settings).await.unwrap_or_else(|e| panic!("{form}: {e}"));
        works(&mut stream).await;
        drop(stream);
        assert!(seen.recv().await.unwrap().certificate.is_some(), "{form}");
    }
}

/// Makes an scrypt key ask for 254 MiB in place of 16; openssl itself would not write it.
fn greedy(mut der: Vec<u8>) -> Vec<u8> {
    // The numbers N = 16384 and r = 8.
    let mine = [2, 2, 0x40, 0, 2, 1, 8];
    let at = der.windows(7).position(|window| window == mine).unwrap();
    der[at + 6] = 127;
    der
}

#[tokio::test]
async fn keys_that_cannot_be_used_say_why() {
    needs!(openssl);
    let authority = Authority::new("ours");
    let (address, _) = start(Server::default(), &authority.sign(&["localhost"], |_| ())).await;
    let own = authority.sign(&["client"], |_| ());
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("key.pem"), &own.key).unwrap();
    std::fs::write(path("password"), "geheim\n").unwrap();
    let encrypt = "pkcs8 -topk8 -in key.pem -passout pass:geheim -out";
    openssl(folder.path(), &format!("{encrypt} aes.pem -v2 aes-256-cbc"));
    openssl(folder.path(), &format!("{encrypt} scrypt.der -outform DER -scrypt"));
    let greedy = greedy(std::fs::read(path("scrypt.der")).unwrap());
    std::fs::write(path("greedy.der"), greedy).unwrap();
    openssl(folder.path(), "base64 -in greedy.der -out greedy.txt");
    let text = std::fs::read_to_string(path("greedy.txt")).unwrap();
    let label = "ENCRYPTED PRIVATE KEY-----";
    std::fs::write(path("memory.pem"), format!("-----BEGIN {label}\n{text}-----END {label}\n"))
        .unwrap();
    openssl(folder.path(), &format!("{encrypt} rounds.pem -v2 aes-256-cbc -iter 2000001"));
    openssl(
        folder.path(),
        &format!("{encrypt} des.pem -v1 PBE-MD5-DES -provider legacy -provider default"),
    );
    openssl(folder.path(), "ec -in key.pem -aes128 -passout pass:geheim -out old.pem");
    std::fs::write(path("empty.pem"), "").unwrap();
    let broken = std::fs::read_to_string(path("aes.pem")).unwrap().replace("MI", "!!");
    std::fs::write(path("broken.pem"), broken).unwrap();
    std::fs::write(path("wrong"), "falsch\n").unwrap();
    for (key, password, expected) in [
        ("aes.pem", Some("wrong"), "cannot be opened with the password"),
        ("aes.pem", None, "name its password's file in key_password_file"),
        ("aes.pem", Some("missing"), "tls.key_password_file"),
        ("memory.pem", Some("password"), "more memory or time"),
        ("rounds.pem", Some("password"), "more memory or time"),
        ("des.pem", Some("password"), "openssl pkcs8 -topk8"),
        ("old.pem", Some("password"), "openssl pkcs8 -topk8 -v2 aes-256-cbc -in "),
        ("empty.pem", None, "must hold a private key in PEM"),
        ("broken.pem", Some("password"), "cannot be read as an encrypted key"),
        ("missing.pem", None, "No such file"),
    ] {
        let mut settings = with(&localhost(address, &authority), &own);
        settings.tls.key_file = Some(Pem::File(path(key)));
        settings.tls.key_password_file = password.map(path);
        let error = failure(settings).await;
        assert!(error.contains(expected), "{key}: {error}");
        assert!(!error.contains("geheim") && !error.contains("falsch"));
    }
    // A key to another certificate, and a certificate without a key.
    let mut settings = with(&localhost(address, &authority), &own);
    settings.tls.key_file = pem(&authority.sign(&["x"], |_| ()).key);
    let error = failure(settings.clone()).await;
    assert!(error.contains("key"), "{error}");
    settings.tls.key_file = None;
    let error = failure(settings).await;
    assert!(error.contains("belong together"), "{error}");
}

#[tokio::test]
async fn a_renewed_certificate_counts_after_a_failure() {
    let authority = Authority::new("ours");
    let (address, mut seen) = start(
        Server { clients: authority.pem(), ..Server::default() },
        &authority.sign(&["localhost"], |_| ()),
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let write = |identity: &Identity| {
        std::fs::write(file("c.pem"), &identity.certificate).unwrap();
        std::fs::write(file("k.pem"), &identity.key).unwrap();
    };
    write(&Authority::new("theirs").sign(&["client"], |_| ()));
    let mut settings = localhost(address, &authority);
    settings.tls.cert_file = Some(Pem::File(file("c.pem")));
    settings.tls.key_file = Some(Pem::File(file("k.pem")));
    let mut connector = Connector::new(settings).unwrap();
    let mut stream = connector.connect(&mut |_| ()).await.unwrap();
    assert!(stream.io.read_u8().await.is_err());
    assert!(!seen.recv().await.unwrap().done);
    write(&authority.sign(&["client"], |_| ()));
    works(&mut connector.connect(&mut |_| ()).await.unwrap()).await;
    assert!(seen.recv().await.unwrap().done);
}
