//! Serial ports on the network as ser2net offers them: raw, by telnet, in use, not there.

use crate::support::free_port;
use crate::support::gateway::Gateway;
use crate::support::mosquitto::{Counter, Mosquitto};
use crate::support::port::Port;
use crate::support::ser2net::Ser2net;

#[test]
fn ser2net_raw_is_read_and_its_telnet_and_its_last_words_are_told() {
    needs!(mosquitto, ser2net);
    let broker = Mosquitto::start();
    let mut device = Port::new();
    let tty =
        format!("serialdev,{},115200n81,local", device.path().canonicalize().unwrap().display());
    let nowhere = "serialdev,/dev/ttyNOTHERE,9600n81,local".to_owned();
    let [raw, second, telnet, gone] = [(); 4].map(|()| free_port());
    let accepter = |kind: &str, port: u16| format!("{kind},127.0.0.1,{port}");
    let _ser2net = Ser2net::start(
        &[
            (accepter("tcp", raw), tty.clone()),
            (accepter("tcp", second), tty.clone()),
            (accepter("telnet(rfc2217),tcp", telnet), tty),
            (accepter("tcp", gone), nowhere),
        ],
        gone,
    );
    let counter = Counter::start(&broker, "test/+/text");
    let told = [
        ("raw", r#""state":"open""#),
        ("second", r#"closed it at once, saying \"Port's device already in use\""#),
        ("gone", r#"closed it at once, saying \"Device open failure: Value or file not found\""#),
        ("telnet", "the other end speaks telnet"),
    ];
    let status =
        told.map(|(port, _)| Counter::start(&broker, &format!("test/status/ports/{port}")));
    let port = |name: &str, port: u16| format!("  {name}: {{tcp: \"127.0.0.1:{port}\"}}\n");
    let head = format!(
        "gateway: test\nbroker: {{url: \"mqtt://127.0.0.1:{}\"}}\nports:\n{}",
        broker.port,
        port("raw", raw)
    );
    let gateway = Gateway::start(&head);
    let expect = |n: usize| {
        let (port, text) = told[n];
        status[n].expect_containing(&format!("test/status/ports/{port}"), text);
    };
    expect(0);
    let more = [port("second", second), port("telnet", telnet), port("gone", gone)].concat();
    gateway.reload(&format!("{head}{more}"));
    (1..told.len()).for_each(expect);
    device.write(b"\r\nfrom the device\r\n");
    assert_eq!(counter.take_one("the first reading"), "test/raw/text from the device");
    let log = gateway.terminate();
    for (port, _) in &told[1..] {
        assert_eq!(log.matches(&format!("port {port}: ")).count(), 1, "{log}");
    }
}
