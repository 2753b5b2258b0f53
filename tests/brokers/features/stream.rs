//! Messages of QoS 1 and 2 that flow while the broker is told to end.

use super::restart::{coming_back, kept};
use super::{Found, Scene, yes};
use crate::probe::{DEADLINE, Probe, QOS, Trouble, message};
use tokio::time::timeout;
use tty2mqtt::mqtt::client::Receipt;
use tty2mqtt::mqtt::message::Message;
use tty2mqtt::mqtt::topic::Qos;
use tty2mqtt::testing::outbox::Outcome;

/// More than pass before the broker is told to end.
const MANY: usize = 2000;

/// Publishes messages and hears them.
pub struct Stream {
    probe: Probe,
    granted: Qos,
    end: Message,
    receipts: Vec<Receipt>,
    /// How often each came.
    came: Vec<u32>,
}

impl Stream {
    pub async fn start(scene: &Scene) -> Result<Stream, Trouble> {
        let name = scene.name("stream");
        let mut probe = coming_back(kept(scene, "stream"), scene).await?;
        let granted = probe.subscribe(&name, QOS[2]).await?;
        let mut receipts = Vec::new();
        for n in 0..MANY {
            let message = Message { qos: QOS[1 + n % 2], ..message(&name, n.to_string()) };
            receipts.extend(probe.client.publish(message).await.ok());
        }
        let (end, came) = (message(&name, "end"), vec![0; MANY]);
        let mut stream = Stream { probe, granted, end, receipts, came };
        for _ in 0..100 {
            stream.next().await?;
        }
        Ok(stream)
    }

    /// Takes a message; `false` if it was the last.
    async fn next(&mut self) -> Result<bool, Trouble> {
        let payload = self.probe.message().await?.payload;
        let number = std::str::from_utf8(&payload).ok().and_then(|text| text.parse::<usize>().ok());
        if let Some(count) = number.and_then(|number| self.came.get_mut(number)) {
            *count += 1;
        }
        Ok(payload != "end")
    }

    pub async fn end(mut self) -> Found {
        let receipts = std::mem::take(&mut self.receipts);
        // Nobody would read the acknowledgements if nobody took the messages.
        let delivered = tokio::spawn(async move {
            for receipt in receipts {
                let outcome = receipt.await;
                if !matches!(outcome, Ok(Outcome::Delivered(_))) {
                    return Err(format!("a message of ours: {outcome:?}"));
                }
            }
            Ok(())
        });
        while self.came.contains(&0) {
            if self.next().await.is_err() {
                let lost = self.came.iter().filter(|count| **count == 0).count();
                return Err(format!("{lost} of {MANY} are lost"));
            }
        }
        let delivered = timeout(DEADLINE, delivered).await.map_err(|_| "not acknowledged")?;
        delivered.map_err(|error| error.to_string())??;
        self.probe.publish(self.end.clone()).await?;
        while self.next().await? {}
        let at_qos_2 = self.came.iter().skip(1).step_by(2);
        if self.granted == Qos::ExactlyOnce && at_qos_2.clone().any(|count| *count > 1) {
            return Err("some of QoS 2 came twice".into());
        }
        yes()
    }
}
