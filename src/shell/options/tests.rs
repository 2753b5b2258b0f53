use super::connection::Password;
use super::publish::PayloadSource;
use super::*;
use crate::mqtt::packet::{Pair, Property, Varint, Version};
use crate::mqtt::session::Clean;
use crate::mqtt::topic::Qos;
use crate::mqtt::transport::proxy::ProxyKind;
use crate::mqtt::transport::settings::{Family, TlsVersion, Verify};
use crate::mqtt::url::BrokerUrl;
use crate::shell::format::Format;
use std::time::Duration;

fn run<O: CommandOptions + fmt::Debug>(
    line: &str,
    defaults: &[PathBuf],
) -> Result<Options<O>, String> {
    let parser = lexopt::Parser::from_args(line.split_whitespace());
    match parse::<O>(parser, defaults) {
        Ok(Invocation::Run(options)) => Ok(*options),
        Ok(other) => Err(format!("{other:?}")),
        Err(UsageError(why)) => Err(why),
    }
}

fn publish(line: &str) -> Publish {
    run(line, &[]).unwrap_or_else(|why| panic!("{line}: {why}"))
}

fn subscribe(line: &str) -> Subscribe {
    run(line, &[]).unwrap_or_else(|why| panic!("{line}: {why}"))
}

fn broker<O>(options: &Options<O>) -> &BrokerUrl {
    &options.connection.transport.urls[0]
}

fn host<O>(options: &Options<O>) -> (&str, u16) {
    (&broker(options).host, broker(options).port)
}

fn topics(options: &Publish) -> Vec<(&str, u8)> {
    options.own.topics.iter().map(|(topic, qos)| (topic.as_str(), qos.bits())).collect()
}

fn filters(options: &Subscribe) -> Vec<(&str, u8)> {
    options.own.filters.iter().map(|(filter, qos)| (filter.as_str(), qos.bits())).collect()
}

#[test]
fn a_message_needs_a_topic_and_a_payload_only() {
    let options = publish("-t a/b -m hello");
    assert_eq!(topics(&options), [("a/b", 0)]);
    assert_eq!(options.own.source, PayloadSource::Message(b"hello".to_vec()));
    assert_eq!(host(&options), ("localhost", 1883));
    let session = &options.connection.session;
    assert_eq!((session.keepalive.as_secs(), session.version), (60, Some(Version::V311)));
    assert!(session.clean == Clean::Always && !broker(&options).is_tls());
    assert!(options.connection.warnings.is_empty());
}

#[test]
fn values_may_look_like_options() {
    assert_eq!(publish("-m -5 -t -d").own.source, PayloadSource::Message(b"-5".to_vec()));
    assert_eq!(publish("-m -o -t a").own.source, PayloadSource::Message(b"-o".to_vec()));
    assert_eq!(publish("-m --help -t a").own.source, PayloadSource::Message(b"--help".to_vec()));
    assert_eq!(
        publish("--message=a=b --topic=a").own.source,
        PayloadSource::Message(b"a=b".to_vec())
    );
}

#[test]
fn the_names_of_aikos_commands() {
    let line = "--host h --port 1 --id me --message m --topic t --keepalive 7 --debug \
                --will_topic w --will_message gone --will_qos 2 --will_retain 1";
    let options = publish(line);
    assert_eq!(host(&options), ("h", 1));
    let session = &options.connection.session;
    assert_eq!((session.client_id.as_str(), session.keepalive.as_secs()), ("me", 7));
    let will = session.will.as_ref().unwrap();
    assert_eq!(will.topic.as_str(), "w");
    assert_eq!((&will.payload[..], will.qos.bits(), will.retain), (&b"gone"[..], 2, true));
    let short = publish(
        "-h h -p 1 -i me -m m -t t -k 7 -d --will_topic w -w gone --will_qos 2 \
                         --will-retain",
    );
    assert_eq!(short.connection.session.will, session.will);
    let will = publish("-n -t t --will-topic w").connection.session.will.unwrap();
    assert_eq!((will.qos, will.retain), (Qos::AtMostOnce, false));
    assert_eq!(host(&run::<TestOptions>("-d -i me -p 1 broker", &[]).unwrap()), ("broker", 1));
}

#[test]
fn each_qos_is_for_its_topic() {
    assert_eq!(topics(&publish("-t a -t b -q 1 -n")), [("a", 1), ("b", 1)]);
    assert_eq!(filters(&subscribe("-q 1 -t a -q 2 -t b -t #")), [("a", 1), ("b", 2), ("#", 2)]);
    assert_eq!(
        run::<SubscribeOptions>("-q 1 -q 2 -t a", &[]).unwrap_err(),
        "2 times -q for 1 times -t"
    );
}

#[test]
fn urls_and_proxies() {
    let options = publish("-L mqtts://u%40x:p%3aw@[::1]/a/b -n");
    let connection = &options.connection;
    assert_eq!(host(&options), ("::1", 8883));
    assert!(broker(&options).is_tls());
    assert_eq!(connection.session.user.as_deref(), Some("u@x"));
    assert!(matches!(&connection.password, Some(Password::Given(p)) if p.reveal() == b"p:w"));
    assert_eq!(topics(&options), [("a/b", 0)]);
    assert!(!format!("{options:?}").contains("p:w"));
    let options = subscribe("-L ws://h:9001/a/# --proxy socks5h://me:x%25@proxy");
    assert!(broker(&options).scheme.is_websocket());
    let proxy = options.connection.transport.proxy.unwrap();
    assert_eq!((proxy.kind, proxy.host.as_str(), proxy.port), (ProxyKind::Socks5h, "proxy", 1080));
    assert_eq!(proxy.password.unwrap().reveal(), b"x%");
    for (line, why) in [
        ("-n -L http://h/t", "unknown scheme \"http\""),
        ("-n -L mqtt://h", "no topic"),
        ("-n -L mqtt://:1/t", "the host is missing"),
        ("-n -L mqtt://h:0/t", "port"),
        ("-n -L mqtt://h/+", "wildcard"),
        ("-n -t a --proxy ftp://x", "--proxy: unknown scheme"),
    ] {
        let error = run::<PublishOptions>(line, &[]).unwrap_err();
        assert!(error.contains(why), "{line}: {error}");
    }
}

#[test]
fn properties_go_where_they_belong() {
    let options = publish(
        "-t a -n -D PUBLISH user-property k v -D publish user-property k w \
         --property PUBLISH content-type text/x -D PUBLISH message-expiry-interval 30 \
         -D CONNECT receive-maximum 5 -D disconnect session-expiry-interval 0 -r",
    );
    let pair = |value: &str| Property::UserProperty(Pair("k".into(), value.into()));
    assert_eq!(
        options.connection.properties.publish.0,
        [pair("v"), pair("w"), Property::ContentType("text/x".into()), Property::MessageExpiry(30)]
    );
    assert_eq!(options.connection.properties.connect.0, [Property::ReceiveMaximum(5)]);
    assert_eq!(options.connection.properties.disconnect.0, [Property::SessionExpiry(0)]);
    assert_eq!(options.connection.session.version, Some(Version::V5));
    assert!(options.own.retain);
    let options = subscribe("-t a -D SUBSCRIBE subscription-identifier 7");
    assert_eq!(options.connection.properties.subscribe.0, [Property::SubscriptionId(Varint(7))]);
    for (line, why) in [
        ("-D", "takes a packet, a property and its value"),
        ("-D PUBLISH user-property k", "takes a packet"),
        ("-D PUBACK x y", "CONNECT, PUBLISH, SUBSCRIBE"),
        ("-D PUBLISH foo y", "there is no such property; PUBLISH has payload-format-indicator"),
        ("-D CONNECT content-type y", "CONNECT has no such property"),
        ("-D PUBLISH message-expiry-interval x", "no number from 0 to 4294967295"),
        ("-D PUBLISH topic-alias 65536", "no number from 0 to 65535"),
        ("-D PUBLISH topic-alias 0", "at least 1"),
        ("-D PUBLISH payload-format-indicator 2", "0 or 1"),
        ("-D PUBLISH response-topic a/#", "no wildcards"),
        ("-D PUBLISH content-type a -D PUBLISH content-type b", "given twice"),
        ("-D PUBLISH content-type a -V 311", "only MQTT 5 has properties"),
        ("-D WILL will-delay-interval 5", "there is no will"),
    ] {
        let error = run::<PublishOptions>(&format!("-t a -n {line}"), &[]).unwrap_err();
        assert!(error.contains(why), "{line}: {error}");
    }
}

#[test]
fn sessions_and_versions() {
    let of = |line: &str| subscribe(&format!("-t a {line}"));
    for (text, version) in [
        ("5", Some(Version::V5)),
        ("mqttv5", Some(Version::V5)),
        ("311", Some(Version::V311)),
        ("mqttv31", Some(Version::V31)),
        ("auto", None),
    ] {
        assert_eq!(of(&format!("-V {text}")).connection.session.version, version);
    }
    let kept = of("-c -V 5 -i me");
    let for_ever = Duration::from_secs(u32::MAX.into());
    assert_eq!(kept.connection.session.session_expiry, for_ever);
    assert_eq!(kept.connection.session.clean, Clean::Never);
    assert_eq!(of("-x ∞ -V 5 -i me").connection.session.session_expiry, for_ever);
    assert_eq!(of("-x -1 -V 5 -i me").connection.session.session_expiry, for_ever);
    let given = of("-D CONNECT session-expiry-interval 60");
    assert_eq!(given.connection.session.session_expiry, Duration::from_secs(60));
    assert!(given.connection.properties.connect.is_empty());
    assert!(of("-x 60").connection.warnings[0].contains("MQTT 5"));
    assert_eq!(of("-I pre").connection.session.client_id, format!("pre{}", std::process::id()));
    assert_eq!(
        of("-6 -A ::1 --bind-device br-lan").connection.transport.network.family,
        Family::V6
    );
    for (line, why) in [
        ("-c", "needs a client identifier"),
        ("-c -V 5", "needs a client identifier"),
        ("-i a -I b", "exclude"),
        ("-V 4.0", "write 5, 311 or 31, or auto"),
        ("-k 65536", "0 to 65535"),
        ("-P secret", "needs a user name"),
        ("-h", "--help shows the help"),
        ("-W 0", "more than 0"),
        ("-R --retained-only", "exclude"),
        ("--random-filter 101", "0.1 to 100"),
        ("-q 3", "QoS is 0, 1 or 2"),
        ("-C 0", "how many, 1 to"),
        ("-F %Z", "-F: there is no %Z"),
        ("-T a/#/b", "misplaced wildcard"),
        ("--cert x", "--cert and --key"),
        ("--cert", "--cert needs a file behind it"),
        ("--psk 00", "--cafile"),
        ("--tls-version tlsv1.1", "tlsv1.2 or tlsv1.3"),
        ("-r", "unknown option -r"),
        ("stray", "stray: every value"),
        ("--will-payload x", "--will-topic"),
    ] {
        let error = run::<SubscribeOptions>(&format!("-t a {line}"), &[]).unwrap_err();
        assert!(error.contains(why), "{line}: {error}");
        assert!(!error.contains("secret"));
    }
}

#[test]
fn what_pub_needs() {
    for (line, why) in [
        ("-m x", "-t is missing"),
        ("-t a", "Give -m, -f, -l, -s or -n"),
        ("-t a -m x -n", "exclude each other"),
        ("-t a -l --repeat 2", "exclude each other"),
        ("-t a -l -u u --password-file -", "cannot be both"),
        ("-t a -n --repeat 0", "1 to"),
        ("-t a -n --repeat-delay x", "seconds"),
        ("-t a/+ -n", "wildcard"),
        ("-t a -n --pretty", "unknown option --pretty"),
    ] {
        let error = run::<PublishOptions>(line, &[]).unwrap_err();
        assert!(error.contains(why), "{line}: {error}");
    }
    let options = publish("-t a -f file --repeat 3 --repeat-delay 0.25 -u u --password-env PW");
    assert_eq!(options.own.source, PayloadSource::File("file".into()));
    assert_eq!((options.own.repeat, options.own.repeat_delay), (3, Duration::from_millis(250)));
    assert!(matches!(options.connection.password, Some(Password::Variable(name)) if name == "PW"));
}

#[test]
fn tls_as_with_mosquitto() {
    let of = |line: &str| publish(&format!("-t a -n {line}"));
    assert_eq!(host(&of("--cafile x")).1, 8883);
    assert!(broker(&of("-p 8883")).is_tls());
    assert!(broker(&of("--tls-use-os-certs")).is_tls());
    assert!(broker(&publish("-n --cafile x -L mqtt://h/t")).is_tls());
    assert!(!broker(&of("--cert c --key k")).is_tls());
    assert!(!broker(&of("--cafile x --no-tls")).is_tls());
    let options =
        of("--cafile x --cert c --key k --tls-alpn mqtt --insecure --tls-version tlsv1.3");
    let tls = options.connection.transport.tls;
    assert_eq!((tls.verify, tls.min_version), (Verify::None, TlsVersion::V13));
    assert_eq!(tls.alpn, ["mqtt"]);
    assert!(publish("-t a -n --ciphers HIGH").connection.warnings[0].contains("--ciphers"));
}

#[test]
fn what_sub_prints_and_when_it_ends() {
    let options = subscribe("-t a -T a/b -U c -C 3 -W 2.5 -E -N -v --remove-retained --no-local");
    assert_eq!(options.own.format, Format::Verbose);
    assert_eq!((options.own.count, options.own.no_eol), (Some(3), true));
    assert_eq!(options.connection.timeout, Some(Duration::from_millis(2500)));
    assert_eq!(subscribe("-t a -v -F %p").own.format, Format::parse(b"%p", false).unwrap());
    assert_eq!(subscribe("-t a --json --pretty").own.format, Format::json(true));
    assert_eq!(subscribe("-t a --random-filter 50.5").own.chance, Some(505));
    assert_eq!(subscribe("-t a --random-filter 100").own.chance, None);
    assert!(subscribe("-U a").own.filters.is_empty());
}

#[test]
fn what_the_broker_may_send_ahead() {
    let ahead = |line: &str| subscribe(&format!("-t a {line}")).connection.session.receive_maximum;
    assert_eq!((ahead(""), ahead("-C 3"), ahead("-C 300")), (20, 3, 20));
    assert_eq!(ahead("-C 3 -D CONNECT receive-maximum 5"), 5);
    assert_eq!(publish("-t a -n").own.topics[0].1, Qos::AtMostOnce);
}

#[test]
fn files_of_options() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sub");
    std::fs::write(
        &file,
        "# comment\n\n-h broker.lan\r\n-t from/file\n-q 1\n-u me\n-P pass word\n\
         -D CONNECT user-property key value with spaces\n-v\n",
    )
    .unwrap();
    let from = |line: &str| run::<SubscribeOptions>(line, std::slice::from_ref(&file));
    let options = from("-t more").unwrap();
    assert_eq!(broker(&options).host, "broker.lan");
    assert!(
        matches!(&options.connection.password, Some(Password::Given(p)) if p.reveal() == b"pass word")
    );
    let pair = Pair("key".into(), "value with spaces".into());
    assert_eq!(options.connection.properties.connect.0, [Property::UserProperty(pair)]);
    assert_eq!(filters(&options), [("from/file", 1), ("more", 1)]);
    // The command line counts more.
    let options = from("-h other -q 2").unwrap();
    assert_eq!(broker(&options).host, "other");
    assert_eq!(filters(&options), [("from/file", 2)]);

    let pub_file = folder.path().join("pub");
    std::fs::write(&pub_file, "-t from/file\n").unwrap();
    let options = run::<PublishOptions>("-t mine -n", std::slice::from_ref(&pub_file)).unwrap();
    assert_eq!(topics(&options), [("mine", 0)]);
    let line = format!("-n -o {}", pub_file.display());
    assert_eq!(topics(&publish(&line)), [("from/file", 0)]);
    // Other defaults do not count then.
    let options = run::<PublishOptions>(&line, std::slice::from_ref(&file)).unwrap();
    assert_eq!(broker(&options).host, "localhost");

    for (text, why) in [
        ("-h\n", "line 1: -h needs the broker's host"),
        ("\n-d x\n", "line 2: -d takes no value"),
        ("host x\n", "no option"),
        ("-Z\n", "unknown option -Z"),
    ] {
        std::fs::write(&pub_file, text).unwrap();
        let error = run::<PublishOptions>(&line, &[]).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    let error = run::<PublishOptions>("-n -t a -o /nonexistent", &[]).unwrap_err();
    assert!(error.contains("-o /nonexistent: No such file"), "{error}");
}

#[test]
fn test_takes_a_host_in_any_form() {
    let of = |line: &str| run::<TestOptions>(line, &[]);
    assert_eq!(broker(&of("broker").unwrap()).host, "broker");
    assert_eq!(host(&of("[::1] -p 7").unwrap()), ("::1", 7));
    for (host, expected) in [
        ("127.0.0.1:18841", "127.0.0.1"),
        ("broker.lan:18841", "broker.lan"),
        ("[::1]:18841", "::1"),
    ] {
        assert_eq!(self::host(&of(host).unwrap()), (expected, 18841));
    }
    assert_eq!(broker(&of("fe80::1").unwrap()).host, "fe80::1");
    assert!(of("broker:x").unwrap_err().contains("\"x\" is no port; write HOST:1883"));
    let options = of("mqtts://me:pw@broker:8884 --json").unwrap();
    assert!(broker(&options).is_tls() && options.own.self_check && options.own.json);
    assert_eq!(host(&options), ("broker", 8884));
    assert_eq!(options.own.publish.as_str(), "test/1");
    assert!(of("a b").unwrap_err().contains("one broker"));
    assert!(matches!(
        parse::<TestOptions>(lexopt::Parser::from_args(["--help"]), &[]),
        Ok(Invocation::Help)
    ));
}
