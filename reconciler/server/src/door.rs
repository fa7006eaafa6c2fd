//! The door: who may come in, how many, and for how long.
//!
//! *Guarantees*: a connection that sends nothing, reads nothing, or takes its time ends by itself;
//! from one address come few, in all not many, and whoever has waited longest without a request
//! makes room; the descriptors that the reconciler needs for its work are never taken by strangers.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::connection::Guarded;
use crate::guests::{Guests, Place, canonical};
use crate::limits::{CONNECTIONS, DESCRIPTORS, REQUEST};
use crate::tls::Tls;

/// Takes as many descriptors as the system allows, so that connections leave enough of them.
pub(crate) fn take_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(DESCRIPTORS).min(DESCRIPTORS);
    if limit.current.is_some_and(|current| current < most) {
        let raised = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(most),
                maximum: limit.maximum,
            },
        );
        if let Err(error) = raised {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
}

/// How many connections there may be, so that a quarter of the descriptors is never exceeded.
fn in_all() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let quarter = limit.current.map_or(usize::MAX, |current| {
        usize::try_from(current / 4).unwrap_or(usize::MAX)
    });
    CONNECTIONS.min(quarter).max(2)
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Peer {
    /// Whether it is on this machine.
    pub fn is_here(self) -> bool {
        canonical(self.0.ip()).is_loopback()
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// A listener that lets in only so many.
pub(crate) struct Door {
    listener: TcpListener,
    guests: Arc<Mutex<Guests>>,
    in_all: usize,
    tls: Option<Arc<Tls>>,
    /// Connections that agreed on their keys: that is done beside the door, so that nobody waits
    /// for a stranger who is slow with it.
    agreed: (Sender<Entered>, Receiver<Entered>),
}

/// A connection that is let in, and whose it is.
type Entered = (Guarded, SocketAddr);

impl Door {
    /// A door at `listener`; with `tls` whatever passes it is encrypted.
    pub(crate) fn new(listener: TcpListener, tls: Option<Arc<Tls>>) -> Self {
        let in_all = in_all();
        Self {
            listener,
            guests: Arc::default(),
            in_all,
            tls,
            agreed: channel(in_all),
        }
    }

    /// Lets a connection in where there is a place; `None`: there is none, or it must agree on keys
    /// first.
    fn enter(&self, stream: TcpStream, peer: SocketAddr) -> Option<Entered> {
        let place = self.admit(peer)?;
        let Some(tls) = &self.tls else {
            return Some((Guarded::new(stream, place, Instant::now()), peer));
        };
        let (acceptor, agreed) = (tls.acceptor(), self.agreed.0.clone());
        tokio::spawn(async move {
            if let Some(guarded) = agree(acceptor, stream, place).await {
                // The door may be closed by now.
                let _closed = agreed.send((guarded, peer)).await;
            }
        });
        None
    }

    fn admit(&self, peer: SocketAddr) -> Option<Place> {
        Guests::admit(&self.guests, self.in_all, peer)
    }
}

impl Listener for Door {
    type Io = Guarded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guarded, SocketAddr) {
        loop {
            let accepted = tokio::select! {
                Some(entered) = self.agreed.1.recv() => return entered,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if let Some(entered) = self.enter(stream, peer) {
                        return entered;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Agrees with a stranger on keys, as long as a request may take and nobody needs the place more.
async fn agree(acceptor: TlsAcceptor, stream: TcpStream, mut place: Place) -> Option<Guarded> {
    let begun = Instant::now();
    let agreed = tokio::select! {
        agreed = timeout(REQUEST, acceptor.accept(stream)) => agreed.ok()?,
        _ = &mut place.ends => return None,
    };
    match agreed {
        Ok(stream) => Some(Guarded::new(stream, place, begun)),
        Err(error) => {
            tracing::debug!(%error, "a connection agreed on no keys");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CONNECTIONS_FROM_ONE;
    use tokio::sync::oneshot;

    async fn door() -> Door {
        Door::new(TcpListener::bind("127.0.0.1:0").await.unwrap(), None)
    }

    fn peer(text: &str) -> SocketAddr {
        format!("{text}:1").parse().unwrap()
    }

    fn count(door: &Door) -> usize {
        door.guests.lock().unwrap().all.len()
    }

    #[tokio::test]
    async fn from_one_address_come_few_and_the_one_that_waited_longest_makes_room() {
        let door = door().await;
        let mut places: Vec<Place> = (0..CONNECTIONS_FROM_ONE)
            .map(|_| door.admit(peer("192.0.2.1")).unwrap())
            .collect();
        let mut more = door.admit(peer("[::ffff:192.0.2.1]")).unwrap();
        assert_eq!(count(&door), CONNECTIONS_FROM_ONE);
        assert!(
            places[0]
                .ends
                .try_recv()
                .is_err_and(|why| why == oneshot::error::TryRecvError::Closed)
        );
        assert!(
            more.ends
                .try_recv()
                .is_err_and(|why| why == oneshot::error::TryRecvError::Empty)
        );
        // Who is being answered stays.
        places.iter().for_each(Place::answers);
        more.answers();
        assert!(door.admit(peer("192.0.2.1")).is_none());
        assert!(door.admit(peer("192.0.2.2")).is_some());
        drop((places, more));
        assert_eq!(count(&door), 0);
    }

    #[tokio::test]
    async fn a_network_of_version_six_is_one_address_and_there_are_never_too_many() {
        let door = door().await;
        let held: Vec<_> = (0..1000)
            .filter_map(|n| door.admit(peer(&format!("[2001:db8::{n:x}]"))))
            .collect();
        assert_eq!(count(&door), CONNECTIONS_FROM_ONE);
        let others: Vec<_> = (0..1000)
            .filter_map(|n| door.admit(peer(&format!("10.{}.{}.1", n / 200, n % 200))))
            .collect();
        assert_eq!(count(&door), door.in_all);
        // Somebody who asks for something is let in all the same.
        assert!(door.admit(peer("127.0.0.1")).is_some());
        drop((held, others));
    }

    #[tokio::test(start_paused = true)]
    async fn what_sends_half_a_header_is_let_go() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut door = door().await;
        let address = Listener::local_addr(&door).unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HT").await.unwrap();
        let (mut guest, _) = Listener::accept(&mut door).await;
        let mut read = Vec::new();
        let error = guest.read_to_end(&mut read).await.unwrap_err();
        assert_eq!(
            (read.as_slice(), error.kind()),
            (&b"GET / HT"[..], io::ErrorKind::TimedOut)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_agrees_on_no_keys_is_let_go_and_keeps_nobody_waiting() {
        use tokio::io::AsyncReadExt as _;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut door = Door::new(listener, Some(Arc::new(crate::tls::tests::some())));
        let address = Listener::local_addr(&door).unwrap();
        let mut silent = TcpStream::connect(address).await.unwrap();
        let guests = Arc::clone(&door.guests);
        tokio::spawn(async move { drop(Listener::accept(&mut door).await) });
        while guests.lock().unwrap().all.is_empty() {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(begun.elapsed() >= REQUEST);
        assert!(guests.lock().unwrap().all.is_empty());
    }
}
