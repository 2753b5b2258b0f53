//! Several brokers, none of which lets us in.

use crate::daemon::config;
use crate::support::free_port;
use crate::support::gateway::Gateway;
use crate::support::port::Port;
use std::io::{Read, Write};
use std::net::TcpListener;

#[test]
fn several_brokers_in_turn_are_one_line_each() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let (nobody, neither) = (free_port(), free_port());
    let text = config(nobody, Port::new().path(), "").replace(
        "broker:\n",
        &format!(
            "broker:\n  version: \"3.1.1\"\n  fallback: [\"mqtt://127.0.0.1:{neither}\", \"mqtt://127.0.0.1:{}\"]\n",
            busy.local_addr().unwrap().port()
        ),
    );
    let gateway = Gateway::start(&text);
    // Four rounds, told by the last of the three.
    for _ in 0..4 {
        let (mut client, _) = busy.accept().unwrap();
        client.read_exact(&mut [0; 10]).unwrap();
        client.write_all(b"\x20\x02\0\x03").unwrap();
        // Until it has read that.
        let _ = client.read_to_end(&mut Vec::new());
    }
    let log = gateway.terminate();
    assert_eq!(log.matches("Connection refused").count(), 2, "{log}");
    assert_eq!(log.matches("not available right now").count(), 1, "{log}");
}
