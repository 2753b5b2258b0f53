//! The control socket of the real binary: on PTYs, against a real mosquitto.

mod cli;
mod clients;
mod end;
mod requests;
mod seat;

use crate::support::control::Client;
use crate::support::gateway::Gateway;
use crate::support::mosquitto::Mosquitto;
use crate::support::port::Port;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A gateway with a port of three fields and a relay, and all around it.
struct Stage {
    gateway: Option<Gateway>,
    broker: Mosquitto,
    port: Port,
    folder: TempDir,
}

fn config(broker: u16, socket: &Path, tty: &Path, more: &str) -> String {
    format!(
        "gateway: test
control: {}
broker:
  url: mqtt://127.0.0.1:{broker}
ports:
  line:
    path: {}
    line: 115200 8N1
    decode:
      fields:
        names: [n, {{name: temperature, unit: °C}}]
    commands:
      - {{topic: \"{{gateway}}/{{port}}/relay\", send: \"(relay {{payload}})\", terminator: \"\\n\"}}
{more}",
        socket.display(),
        tty.display()
    )
}

impl Stage {
    fn new() -> Stage {
        Stage::with("")
    }

    /// With more lines of configuration.
    fn with(more: &str) -> Stage {
        let (broker, port) = (Mosquitto::start(), Port::new());
        let mut stage = Stage { gateway: None, broker, port, folder: tempfile::tempdir().unwrap() };
        stage.gateway = Some(Gateway::start(&stage.config(more)));
        // The two come in either order.
        let log = stage.gateway().log();
        let first = ["port line:", "connected to"];
        let line = log.wait_for_any(&first);
        log.wait_for(if line.contains(first[0]) { first[1] } else { first[0] });
        stage
    }

    fn config(&self, more: &str) -> String {
        config(self.broker.port, &self.socket(), self.port.path(), more)
    }

    fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().unwrap()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    fn client(&self) -> Client {
        Client::new(&self.socket())
    }

    /// Ends the gateway and starts it again; kill -9 or SIGTERM.
    fn again(&mut self, kill: bool) {
        let gateway = self.gateway.take().unwrap();
        if kill {
            gateway.kill()
        } else {
            drop(gateway.terminate())
        }
        self.gateway = Some(Gateway::start(&self.config("")));
    }

    fn terminate(mut self) -> String {
        self.gateway.take().unwrap().terminate()
    }
}
