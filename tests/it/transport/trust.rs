//! Nobody but a trusted broker gets a user name, a password or a certificate.

use crate::transport::certificates::{
    Authority, Identity, ONLY_1_2, Server, in_year, localhost, pem, start, unchecked,
};
use crate::transport::server::{connect, settings, works};
use tty2mqtt::mqtt::transport::settings::Verify;
use tty2mqtt::mqtt::transport::tls::CertificateFault;
use tty2mqtt::mqtt::transport::{ConnectError, Connector, Dial, Settings};

/// Everything that may not get out.
fn with_each_secret(settings: &Settings, own: &Authority) -> Vec<Settings> {
    let mut login = settings.clone();
    login.credentials = true;
    let mut user = settings.clone();
    user.urls[0].user = Some("me".into());
    let mut password = settings.clone();
    password.urls[0].password = Some(String::from("geheim").into());
    let mut certificate = settings.clone();
    let identity = own.sign(&["client"], |_| ());
    certificate.tls.cert_file = pem(&identity.certificate);
    certificate.tls.key_file = pem(&identity.key);
    vec![login, user, password, certificate]
}

#[tokio::test]
async fn an_untrusted_broker_is_refused_before_it_gets_anything() {
    let authority = Authority::new("ours");
    let other = Authority::new("theirs");
    // It asks for a certificate, too.
    let server = Server { clients: authority.pem(), ..Server::default() };
    for (identity, fault) in [
        (other.sign(&["localhost"], |_| ()), CertificateFault::UnknownAuthority),
        (
            authority.sign(&["elsewhere"], |_| ()),
            CertificateFault::WrongName(vec!["DnsName(\"elsewhere\")".into()]),
        ),
    ] {
        let (address, mut seen) = start(server.clone(), &identity).await;
        let mut settings = localhost(address, &authority);
        settings.tls.verify = Verify::Optional;
        for settings in with_each_secret(&settings, &authority) {
            let error = connect(settings).await.unwrap_err();
            let ConnectError::UntrustedWithCredentials { fault: found, .. } = &error else {
                panic!("{error}")
            };
            assert_eq!(*found, fault);
            let seen = seen.recv().await.unwrap();
            assert!(!seen.done && seen.certificate.is_none() && seen.data == 0);
        }
    }
    // Nobody is trusted who was not looked at.
    let (address, mut seen) = start(server, &authority.sign(&["localhost"], |_| ())).await;
    let mut settings = localhost(address, &authority);
    settings.tls.verify = Verify::None;
    for settings in with_each_secret(&settings, &authority) {
        let error = connect(settings).await.unwrap_err();
        assert!(matches!(
            error,
            ConnectError::UntrustedWithCredentials { fault: CertificateFault::NotChecked, .. }
        ));
        assert!(error.to_string().contains("gets no user name, password or certificate"));
        assert!(!seen.recv().await.unwrap().done);
    }
}

#[tokio::test]
async fn a_login_that_the_session_still_has_counts_for_every_broker() {
    let authority = Authority::new("ours");
    let identity = Authority::new("theirs").sign(&["localhost"], |_| ());
    let (address, mut seen) = start(Server::default(), &identity).await;
    let mut settings = localhost(address, &authority);
    settings.tls.verify = Verify::Optional;
    // The login of the first broker, which is away.
    let mut two = settings.clone();
    two.urls.insert(
        0,
        format!("mqtts://me:geheim@{}", crate::transport::dial::dead()).parse().unwrap(),
    );
    let mut connector = Connector::new(two).unwrap();
    assert!(matches!(connector.connect(&mut |_| ()).await, Err(ConnectError::Tcp { .. })));
    let error = connector.connect(&mut |_| ()).await.unwrap_err();
    assert!(matches!(error, ConnectError::UntrustedWithCredentials { .. }), "{error}");
    // What only the session knows, such as AUTH data.
    let mut connector = Connector::new(settings).unwrap();
    connector.set_credentials(true);
    let error = connector.connect(&mut |_| ()).await.unwrap_err();
    assert!(matches!(error, ConnectError::UntrustedWithCredentials { .. }), "{error}");
    for _ in 0..2 {
        assert!(!seen.recv().await.unwrap().done);
    }
    connector.set_credentials(false);
    assert!(connector.connect(&mut |_| ()).await.unwrap().distrust.is_some());
}

#[tokio::test]
async fn without_secrets_an_untrusted_broker_is_spoken_to_and_said_to_be_one() {
    let authority = Authority::new("ours");
    let other = Authority::new("theirs");
    for (identity, fault) in [
        (other.sign(&["localhost"], |_| ()), "not signed by an authority"),
        (authority.sign(&["localhost"], in_year(2020)), "has expired"),
    ] {
        let (address, mut seen) = start(Server::default(), &identity).await;
        let mut settings = localhost(address, &authority);
        settings.tls.verify = Verify::Optional;
        let mut connector = Connector::new(settings).unwrap();
        // The second time must not pass by a resumed session, which shows no certificate.
        for _ in 0..2 {
            let mut stream = connector.connect(&mut |_| ()).await.unwrap();
            assert!(stream.distrust.is_some());
            assert!(stream.distrust.as_ref().unwrap().to_string().contains(fault));
            works(&mut stream).await;
            connector.established();
            drop(stream);
            assert!(!seen.recv().await.unwrap().resumed);
        }
    }
    let (address, _) = start(Server::default(), &authority.sign(&["localhost"], |_| ())).await;
    let mut settings = localhost(address, &authority);
    settings.tls.verify = Verify::Optional;
    assert!(connect(settings.clone()).await.unwrap().distrust.is_none());
    settings.credentials = true;
    assert!(connect(settings.clone()).await.unwrap().distrust.is_none());
    settings.credentials = false;
    settings.tls.verify = Verify::None;
    assert!(connect(settings).await.unwrap().distrust.is_some());
}

#[tokio::test]
async fn who_shows_a_certificate_must_have_its_key() {
    let authority = Authority::new("ours");
    let shown = authority.sign(&["localhost"], |_| ());
    let own = authority.sign(&["thief"], |_| ());
    let stolen = Identity { certificate: shown.certificate, key: own.key };
    for versions in [ONLY_1_2, rustls::ALL_VERSIONS] {
        let acceptor = unchecked(&stolen, versions);
        let address = crate::transport::server::serve(move |stream| {
            let acceptor = acceptor.clone();
            async move { drop(acceptor.accept(stream).await) }
        })
        .await;
        for verify in [Verify::Required, Verify::Optional, Verify::None] {
            let mut settings = localhost(address, &authority);
            settings.tls.verify = verify;
            let error = connect(settings).await.map(|_| ()).unwrap_err();
            assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
        }
    }
}

#[test]
fn no_settings_print_a_secret() {
    let mut settings = settings("mqtts://me:geheim@host");
    settings.proxy = Some("http://me:geheim@host".parse().unwrap());
    settings.tls.key_file = pem("-----BEGIN PRIVATE KEY-----geheim");
    let connector = Connector::new(settings.clone()).unwrap();
    for text in [format!("{settings:?}"), format!("{connector:?}"), connector.broker().to_string()]
    {
        assert!(!text.contains("geheim"), "{text}");
    }
}
