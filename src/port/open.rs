//! Opens a serial port, local or on the network, with its configured settings.

use super::in_use;
use super::line;
use super::line_change::{LineSetter, line_change};
use super::rs485;
use super::stream::Stream;
use super::telnet::{ComPort, Modem, TelnetStream, Told};
use super::tty::{Counts, Tty};
use super::usb::{self, UsbError};
use crate::base::line::{Line, Parity};
use crate::port::line_counts::LineCounts;
use crate::port::settings::{Flow, ModemLine, Port, Protocol, TcpAddress};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{self, ControlModes, InputModes, OptionalActions, Termios};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_serial::{ClearBuffer, SerialPort};

/// How long a serial port on the network may take to answer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Opened<S> {
    pub stream: S,
    /// Its path or address, such as `/dev/ttyUSB1`.
    pub device: String,
    pub link: LinkKind,
    /// Line errors since the port was opened, if the driver counts them.
    pub line_counts: Option<watch::Receiver<LineCounts>>,
    /// Changes speed and format while it is open.
    pub setter: LineSetter,
}

/// What stands between the gateway and a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    Tty,
    /// A tty that marks damaged bytes, as termios(3) describes for PARMRK.
    MarkedTty,
    /// A serial server on the network, which may send bytes of its own before those of the device.
    Network,
    /// The same, with a layer that takes its commands out of the data.
    Telnet,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0} is not there; is it plugged in? `tty2mqtt ports` lists what is")]
    NotFound(String),
    #[error("{0} is not open to this user; add the user to the group `dialout`")]
    Permission(String),
    /// Another program reads the port too, so each would get only a part of the bytes.
    #[error("{path} is in use by {by}{remedy}")]
    InUse {
        path: String,
        /// The name and process id of the other program, if this user may see them.
        by: String,
        remedy: String,
    },
    #[error("{0} is not a serial port")]
    NoTty(String),
    #[error("{path} does not take {line}: {why}")]
    Line { path: String, line: Line, why: String },
    #[error("{path}: {why}")]
    Rs485 { path: String, why: String },
    #[error(transparent)]
    Usb(#[from] UsbError),
    #[error("cannot connect to {address}: {source}")]
    Tcp { address: TcpAddress, source: io::Error },
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
    /// The check of the configuration refuses such a port.
    #[error("no key says which serial port this is")]
    Nameless,
}

#[derive(Clone, Debug)]
pub struct Opener {
    port: Port,
    /// The program that had the tty open at the last attempt.
    in_use_by: Option<in_use::Process>,
    /// What the driver refused at the last opening, which was logged then.
    undone: Vec<String>,
    /// What the log was told of a serial server.
    told: Arc<Told>,
}

#[cfg(any(test, feature = "testing"))]
pub async fn open(port: &Port) -> Result<Opened<Stream>, OpenError> {
    Opener::new(port.clone()).open().await
}

impl Opener {
    pub fn new(port: Port) -> Opener {
        Opener { port, in_use_by: None, undone: Vec::new(), told: Arc::default() }
    }

    /// Opens the port without blocking the thread: a broken adapter can hold its driver for seconds,
    /// and a host name has to be resolved.
    pub async fn open(&mut self) -> Result<Opened<Stream>, OpenError> {
        if let Some(address) = &self.port.tcp {
            return connect(address, &self.port, &self.told).await;
        }
        let mut away = self.clone();
        let opened = spawn_blocking(move || (away.open_tty(), away)).await;
        match opened {
            Ok((opened, back)) => {
                *self = back;
                opened
            }
            Err(e) => Err(OpenError::Io { path: "opening".into(), source: e.into() }),
        }
    }

    fn open_tty(&mut self) -> Result<Opened<Stream>, OpenError> {
        let path = match (&self.port.path, &self.port.usb) {
            (Some(path), _) => path.clone(),
            (None, Some(usb)) => usb::find(Path::new("/sys"), usb)?,
            (None, None) => return Err(OpenError::Nameless),
        };
        let line = self.port.line.unwrap_or(Line::DEFAULT);
        let shown = path.display().to_string();
        // The target of a symlink is what other programs have open.
        let real = path.canonicalize().map_err(|e| explain(&shown, e, || None))?;
        // The tty is opened first, which shows most faults and costs less than a search in procfs.
        let tty = first_open(&real).map_err(|e| explain(&shown, e, || self.in_use_by(&real)))?;
        if let Some(by) = self.in_use_by(&real) {
            return Err(taken(&shown, Some(by)));
        }
        keep_modem_lines(&tty).map_err(|e| explain(&shown, e, || None))?;
        let io = |e: io::Error| OpenError::Io { path: shown.clone(), source: e };
        let mut port = set_up(&real, &shown, line, self.port.flow)?;
        let mut undone = Vec::new();
        type Switch = fn(&mut dyn SerialPort, bool) -> tokio_serial::Result<()>;
        let dtr: Switch = |port, on| port.write_data_terminal_ready(on);
        let rts: Switch = |port, on| port.write_request_to_send(on);
        for (name, wanted, switch) in [("DTR", self.port.dtr, dtr), ("RTS", self.port.rts, rts)] {
            if wanted != ModemLine::Keep
                && let Err(error) = switch(&mut *port, wanted == ModemLine::On)
            {
                undone.push(format!("the driver cannot switch {name} {wanted:?}: {error}"));
            }
        }
        let transmitter = rs485::set_up(&tty, self.port.bus.rs485)
            .map_err(|why| OpenError::Rs485 { path: shown.clone(), why })?;
        let settings = mark_errors(&tty).map_err(io)?;
        // A virtual port has no line.
        let is_virtual = real.starts_with("/dev/pts");
        if !is_virtual {
            undone.extend(line::other(line, &settings));
        }
        for what in self.new_ones(&undone) {
            tracing::warn!("{shown}: {what}");
        }
        let is_marked = settings.input_modes.contains(InputModes::PARMRK);
        // Input from before the opening may begin within a frame.
        port.clear(ClearBuffer::Input).map_err(|e| io(e.into()))?;
        let counts = LineCounts::read(&tty)
            .map(|before| Counts { before, latest: watch::Sender::new(LineCounts::default()) });
        let line_counts = counts.as_ref().map(|counts| counts.latest.subscribe());
        let (setter, requests) = line_change();
        let tty = Tty::new(port, tty, counts, (line, is_virtual), requests, transmitter);
        let link = if is_marked { LinkKind::MarkedTty } else { LinkKind::Tty };
        Ok(Opened { stream: Stream::Tty(Box::new(tty)), device: shown, link, line_counts, setter })
    }

    fn in_use_by(&mut self, real: &Path) -> Option<in_use::Process> {
        self.in_use_by = in_use::by_another(Path::new("/proc"), real, self.in_use_by.as_ref());
        self.in_use_by.clone()
    }

    /// Returns those of `undone` that were not logged at the last opening.
    fn new_ones(&mut self, undone: &[String]) -> Vec<String> {
        let before = std::mem::replace(&mut self.undone, undone.to_vec());
        undone.iter().filter(|what| !before.contains(what)).cloned().collect()
    }
}

fn set_up(
    real: &Path,
    shown: &str,
    line: Line,
    flow: Flow,
) -> Result<Box<dyn SerialPort>, OpenError> {
    let parity = match line.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let flow = match flow {
        Flow::None => tokio_serial::FlowControl::None,
        Flow::Hardware => tokio_serial::FlowControl::Hardware,
        Flow::Software => tokio_serial::FlowControl::Software,
    };
    let port = tokio_serial::new(real.to_string_lossy(), line.baud)
        .parity(parity)
        .flow_control(flow)
        .data_bits(line.data_bits.try_into().unwrap_or(tokio_serial::DataBits::Eight))
        .stop_bits(line.stop_bits.try_into().unwrap_or(tokio_serial::StopBits::One))
        .open();
    port.map_err(|e| match e.kind {
        // This is how the library reports a lock that another program holds.
        tokio_serial::ErrorKind::NoDevice => taken(shown, None),
        _ => OpenError::Line { path: shown.into(), line, why: e.to_string() },
    })
}

fn first_open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Clears HUPCL, so that DTR does not fall when the port is closed: an Arduino resets when it
/// rises again at the next opening.
fn keep_modem_lines(tty: &OwnedFd) -> io::Result<()> {
    let mut settings = termios::tcgetattr(tty)?;
    settings.control_modes.remove(ControlModes::HUPCL);
    Ok(termios::tcsetattr(tty, OptionalActions::Now, &settings)?)
}

/// Makes the kernel mark bytes that came with an error, see [`Marks`](super::marks::Marks), instead of
/// dropping them or replacing them by NUL. Returns what the driver made of all settings.
fn mark_errors(tty: &OwnedFd) -> io::Result<Termios> {
    let mut settings = termios::tcgetattr(tty)?;
    let ignore = InputModes::IGNPAR | InputModes::IGNBRK | InputModes::BRKINT | InputModes::ISTRIP;
    settings.input_modes.remove(ignore);
    settings.input_modes.insert(InputModes::PARMRK | InputModes::INPCK);
    termios::tcsetattr(tty, OptionalActions::Now, &settings)?;
    Ok(termios::tcgetattr(tty)?)
}

fn explain(
    shown: &str,
    error: io::Error,
    by: impl FnOnce() -> Option<in_use::Process>,
) -> OpenError {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => OpenError::NotFound(shown.into()),
        Some(Errno::ACCESS | Errno::PERM) => OpenError::Permission(shown.into()),
        Some(Errno::NOTTY) => OpenError::NoTty(shown.into()),
        Some(Errno::BUSY) => taken(shown, by()),
        _ => OpenError::Io { path: shown.into(), source: error },
    }
}

fn taken(path: &str, by: Option<in_use::Process>) -> OpenError {
    let remedy = by.as_ref().map(|by| by.remedy(Path::new(path))).unwrap_or_default();
    let by = by.map_or_else(|| "another program".into(), |by| by.to_string());
    OpenError::InUse { path: path.into(), by, remedy }
}

async fn connect(
    address: &TcpAddress,
    port: &Port,
    told: &Arc<Told>,
) -> Result<Opened<Stream>, OpenError> {
    let failed = |source| OpenError::Tcp { address: address.clone(), source };
    let connecting = TcpStream::connect((address.host.as_str(), address.port));
    let stream = tokio::time::timeout(CONNECT_DEADLINE, connecting).await;
    let stream = stream.map_err(|late| failed(late.into()))?.map_err(failed)?;
    // A server that lost its power sends no FIN. Without keep-alive the loss would never be noticed.
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10));
    let socket = SockRef::from(&stream);
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_nodelay(true);
    let device = address.to_string();
    let (counts, line_counts) = watch::channel(LineCounts::default());
    let told = Arc::clone(told);
    let name = device.clone();
    Ok(match address.protocol {
        Protocol::Raw => Opened {
            stream: Stream::Tcp(stream),
            device,
            link: LinkKind::Network,
            line_counts: None,
            setter: LineSetter::none(),
        },
        Protocol::Telnet => Opened {
            stream: Stream::Telnet(Box::new(TelnetStream::new(stream, name, None, counts, told))),
            device,
            link: LinkKind::Telnet,
            line_counts: None,
            setter: LineSetter::none(),
        },
        Protocol::Rfc2217 => {
            let line = port.line.unwrap_or(Line::DEFAULT);
            let modem = Modem { flow: port.flow, dtr: port.dtr, rts: port.rts };
            let (setter, requests) = line_change();
            let com_port = Some((ComPort::new(line, modem), requests));
            let stream = TelnetStream::new(stream, name, com_port, counts, told);
            Opened {
                stream: Stream::Telnet(Box::new(stream)),
                device,
                link: LinkKind::Telnet,
                line_counts: Some(line_counts),
                setter,
            }
        }
    })
}

#[cfg(all(test, feature = "demo"))]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::testing::pty::Pty;

    #[tokio::test]
    async fn a_line_that_the_driver_does_not_take_is_told() {
        // Linux's PTYs know eight data bits without parity only.
        for (line, expected) in [
            ("9600 8N1", None),
            ("9600 8N2", None),
            ("9600 7E1", Some("the driver does not take 9600 7E1; it has set 9600 8N1")),
            ("250000 8O2", Some("the driver does not take 250000 8O2; it has set 250000 8N2")),
        ] {
            let pty = Pty::open().unwrap();
            let text = format!(
                "broker: {{url: \"mqtt://x\"}}\nports: {{p: {{path: {}, line: {line}}}}}\n",
                pty.path().display()
            );
            let (config, _) = load::parse("test", &text, Path::new("/")).unwrap();
            let mut opener = Opener::new(config.ports.into_values().next().unwrap());
            let opened = opener.open().await.unwrap();
            let Stream::Tty(tty) = &opened.stream else { panic!("no tty") };
            let settings = termios::tcgetattr(tty).unwrap();
            let line = line.parse().unwrap();
            assert_eq!(line::other(line, &settings).as_deref(), expected);
            assert_eq!(opener.undone, [""; 0], "there is no line");
        }
        // What a chip makes of a speed is near enough, or not.
        let pty = Pty::open().unwrap();
        let tty = first_open(pty.path()).unwrap();
        let mut settings = termios::tcgetattr(&tty).unwrap();
        settings.control_modes.remove(ControlModes::CSTOPB);
        for (set, is_told) in [(115_200, false), (115_108, false), (112_000, true), (9600, true)] {
            settings.set_speed(set).unwrap();
            let told = line::other("115200 8N1".parse().unwrap(), &settings);
            assert_eq!(told.is_some(), is_told, "{told:?}");
        }
    }

    #[test]
    fn the_log_is_told_once_of_what_the_driver_does_not_do() {
        let text = "broker: {url: \"mqtt://x\"}\nports: {p: {path: /dev/x, line: 9600 8N1}}\n";
        let (config, _) = load::parse("test", text, Path::new("/")).unwrap();
        let mut opener = Opener::new(config.ports.into_values().next().unwrap());
        let told: Vec<_> = ["a", "a", "b", "b"]
            .map(|what| opener.new_ones(&[what.to_owned()]))
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(told, ["a", "b"]);
    }
}
