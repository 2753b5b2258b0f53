//! The control socket: clients ask the gateway for its status and give it orders. JSON lines on a Unix
//! socket that only its owner and root may open; `docs/CONTROL.md` has every request and answer.
//!
//! It has a thread of its own, because a status with many values takes longer to write than a tty
//! waits on a slow router. Everything about a client is bounded: how many there are, how long a
//! request is, how long it may stay silent, how slowly it may read.

mod answers;
pub mod commands;
#[cfg(feature = "tools")]
pub mod detection;
pub mod draft;
#[cfg(feature = "tools")]
pub mod library;
pub mod path;
pub mod protocol;
pub mod request;
mod server;
pub mod socket_lock;
mod start_log;
mod status;

use crate::base::json::line;
use crate::base::log::Filter;
use crate::config::Files;
use crate::gateway::status::Program;
use crate::gateway::{Directory, GatewayRequest};
use protocol::Failure;
use socket_lock::SocketLock;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::timeout;

/// How many clients may be connected at once.
pub const CLIENTS: usize = 8;

/// How long a part of the gateway may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A gateway that has run for this long is not in a crash loop.
const SETTLED: Duration = Duration::from_secs(600);

/// What the control socket knows of the gateway and can reach.
#[derive(Debug)]
pub struct Control {
    /// Where the configuration is read from.
    pub files: Files,
    /// What is said about the program.
    pub program: Program,
    pub log: Filter,
    /// Requests to the gateway. It is weak because the gateway ends when the last sender is dropped.
    pub requests: mpsc::WeakSender<GatewayRequest>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("the gateway is ending")]
    Ending,
    #[error("no answer within {} s", ANSWER.as_secs())]
    Silent,
}

/// Listens on a thread of its own until the process ends.
pub fn start(control: Control, lock: Arc<SocketLock>, listener: StdListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("control".into()).spawn(move || {
        let local = LocalSet::new();
        local.spawn_local(async move {
            tokio::time::sleep(SETTLED).await;
            lock.settled();
        });
        let ended = local.block_on(&runtime, serve(control, listener));
        if let Err(error) = ended {
            tracing::warn!("no control socket any more: {error}");
        }
    })?;
    Ok(())
}

async fn serve(control: Control, listener: StdListener) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let control = Rc::new(control);
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Most likely the process is out of descriptors; accepting the next client may succeed.
            Err(error) => {
                tracing::debug!("control: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                let control = control.clone();
                tokio::task::spawn_local(async move {
                    server::talk(&control, stream).await;
                    drop(place);
                });
            }
            Err(_) => turn_away(&stream),
        }
    }
}

/// The answer fits into the socket's buffer, so nothing has to wait until the client reads it.
fn turn_away(stream: &UnixStream) {
    let why = format!("{CLIENTS} clients are connected already; close one of them");
    let _ = stream.try_write(line(&Failure::new(why)).as_bytes());
}

impl Control {
    pub(crate) async fn directory(&self) -> Result<Directory, AskError> {
        let requests = self.requests.upgrade().ok_or(AskError::Ending)?;
        ask(&requests, GatewayRequest::Directory).await
    }
}

/// Asks a task of the gateway for something.
pub(crate) async fn ask<A, R>(
    task: &mpsc::Sender<A>,
    question: impl FnOnce(oneshot::Sender<R>) -> A,
) -> Result<R, AskError> {
    let (reply, answer) = oneshot::channel();
    let asked = async {
        task.send(question(reply)).await.map_err(|_| AskError::Ending)?;
        answer.await.map_err(|_| AskError::Ending)
    };
    timeout(ANSWER, asked).await.map_err(|_| AskError::Silent)?
}
