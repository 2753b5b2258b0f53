//! Reads a changed configuration and puts it into effect.

use super::{Changes, GatewayRequest, StartError};
use crate::config::error::ConfigError;
use crate::config::{Files, load};
use tokio::sync::{mpsc, oneshot};

#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("the gateway is ending")]
    Ending,
}

/// Reads the files and puts them into effect; what they do not change is not disturbed, and a wrong
/// one changes nothing. All that there is to say is logged, too.
pub async fn reload(
    files: Files,
    requests: &mpsc::WeakSender<GatewayRequest>,
) -> Result<Changes, ReloadError> {
    let done = read_and_apply(files, requests).await;
    match &done {
        Ok(changes) => {
            for warning in &changes.warnings {
                tracing::warn!("{warning}");
            }
            if changes.restart_needed {
                tracing::warn!("control: the socket stays where it is until the next start");
            }
            tracing::info!("configuration reloaded");
        }
        Err(error) => tracing::error!("nothing was changed: {error}"),
    }
    done
}

async fn read_and_apply(
    files: Files,
    requests: &mpsc::WeakSender<GatewayRequest>,
) -> Result<Changes, ReloadError> {
    // Off this thread: on a slow router reading and checking takes longer than a tty waits.
    let loaded = tokio::task::spawn_blocking(move || load::load_files(&files)).await;
    let (config, warnings) = loaded.map_err(|_| ReloadError::Ending)??;
    let (reply, done) = oneshot::channel();
    let request = GatewayRequest::Reload(Box::new(config), reply);
    // Not before: the gateway ends when the channel closes, and does not wait for a file to be read.
    let requests = requests.upgrade().ok_or(ReloadError::Ending)?;
    requests.send(request).await.map_err(|_| ReloadError::Ending)?;
    let changes = done.await.map_err(|_| ReloadError::Ending)??;
    Ok(Changes { warnings, ..changes })
}
