//! TCP to the first address that answers: happy eyeballs (RFC 8305).

use super::error::ConnectError;
use super::settings::Network;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Limit for one address.
const ADDRESS_DEADLINE: Duration = Duration::from_secs(10);

/// Time before the next address is tried as well. RFC 8305, section 5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The maximum number of addresses of a name that are tried.
const MOST: usize = 16;

/// How long bytes may stay unacknowledged before the kernel gives the link up. Below the keep-alive
/// of MQTT, which only notices that nothing comes back.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects to the address that answers first. The addresses must not be empty.
pub(super) async fn race(
    addresses: Vec<SocketAddr>,
    network: &Network,
) -> Result<TcpStream, ConnectError> {
    let mut left = interleave(addresses).into_iter().take(MOST);
    // Dropping the set ends the other attempts.
    let mut dials = JoinSet::new();
    let mut error = None;
    loop {
        match left.next() {
            Some(address) => {
                let network = network.clone();
                dials.spawn(async move { dial(address, &network).await });
            }
            None if dials.is_empty() => {
                return Err(error.unwrap_or_else(|| ConnectError::NoAddress {
                    host: "the broker".into(),
                    family: network.family,
                }));
            }
            None => {}
        }
        tokio::select! {
            Some(done) = dials.join_next() => match done {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(why)) => error = Some(why),
                // A task of ours is cancelled only when the runtime shuts down.
                Err(why) => error = Some(ConnectError::Socket(io::Error::other(why))),
            },
            () = sleep(ATTEMPT_DELAY), if left.len() > 0 => {}
        }
    }
}

/// The families take turns, so that one that leads nowhere delays each address of the other by at
/// most one attempt delay. Otherwise the resolver's order is kept. RFC 8305, section 4.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let all = addresses.len();
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::with_capacity(all);
    while order.len() < all {
        order.extend(first.next());
        order.extend(second.next());
    }
    order
}

async fn dial(address: SocketAddr, network: &Network) -> Result<TcpStream, ConnectError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(ConnectError::Socket)?;
    let options = SockRef::from(&socket);
    if let Some(device) = &network.bind_device {
        let bound = options.bind_device(Some(device.as_bytes()));
        bound.map_err(|source| ConnectError::Device { device: device.clone(), source })?;
    }
    if let Some(local) = network.local_address {
        let bound = socket.bind(SocketAddr::new(local, 0));
        bound.map_err(|source| ConnectError::LocalAddress { address: local, source })?;
    }
    // None of these is worth a failed connection: an old kernel may lack one.
    let _ = options.set_tcp_user_timeout(Some(USER_TIMEOUT));
    let probes = TcpKeepalive::new().with_time(Duration::from_secs(60));
    let probes = probes.with_interval(Duration::from_secs(10)).with_retries(3);
    let _ = options.set_tcp_keepalive(&probes);
    // The session gathers its output itself; Nagle's algorithm would only delay acknowledgements.
    let _ = socket.set_nodelay(true);
    match timeout(ADDRESS_DEADLINE, socket.connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(ConnectError::Tcp { address, source }),
        Err(late) => Err(ConnectError::Tcp { address, source: late.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let read = |text: &str| -> Vec<SocketAddr> {
            text.split(' ').map(|address| address.parse().unwrap()).collect()
        };
        let order = interleave(read("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 [::4]:1 2.2.2.2:1"));
        assert_eq!(order, read("[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1 [::3]:1 [::4]:1"));
        assert_eq!(interleave(Vec::new()), Vec::new());
    }

    #[tokio::test]
    async fn the_socket_is_set_up_as_it_should_be() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = race(vec![server.local_addr().unwrap()], &Network::default()).await.unwrap();
        let socket = SockRef::from(&tcp);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
    }
}
