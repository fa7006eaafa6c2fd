//! The door: who may come in, how many, and for how long.
//!
//! *Guarantees*: a connection that sends nothing, reads nothing, or takes its time ends by itself;
//! from one address come few, in all not many, and whoever has waited longest without a request
//! makes room; the descriptors that the reconciler needs for its work are never taken by strangers.

use std::future::Future as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::{ANSWER, CONNECTIONS, CONNECTIONS_FROM_ONE, DESCRIPTORS, LIFE, REQUEST};

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

/// The address that limits count by: of IPv6 the first half, which one host has to itself.
fn canonical(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(six) if !six.is_loopback() => {
            let half = u128::from(six) >> 64 << 64;
            IpAddr::V6(half.into())
        }
        other => other,
    }
}

/// A connection that is there.
struct Guest {
    id: u64,
    ip: IpAddr,
    /// A request of it was answered, or is being.
    answered: bool,
    /// It ends when this is dropped.
    _stays: oneshot::Sender<()>,
}

/// The connections that are there, in the order in which they came.
#[derive(Default)]
struct Guests {
    next: u64,
    all: Vec<Guest>,
}

impl Guests {
    /// Sends away who came first of those that `which` names and were not answered; whether there
    /// is one.
    fn send_away(&mut self, which: impl Fn(&Guest) -> bool) -> bool {
        let found = self.all.iter().position(|one| !one.answered && which(one));
        found.map(|place| self.all.remove(place)).is_some()
    }
}

/// A listener that lets in only so many.
pub(crate) struct Door {
    listener: TcpListener,
    guests: Arc<Mutex<Guests>>,
    in_all: usize,
}

impl Door {
    /// A door at `listener`.
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            guests: Arc::default(),
            in_all: in_all(),
        }
    }

    fn admit(&self, peer: SocketAddr) -> Option<Place> {
        let ip = canonical(peer.ip());
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        let from_one = if ip.is_loopback() {
            self.in_all
        } else {
            CONNECTIONS_FROM_ONE
        };
        let own = guests.all.iter().filter(|guest| guest.ip == ip).count();
        if own >= from_one && !guests.send_away(|guest| guest.ip == ip) {
            return None;
        }
        if guests.all.len() >= self.in_all && !guests.send_away(|_| true) {
            return None;
        }
        let (id, (stays, ends)) = (guests.next, oneshot::channel());
        guests.next = id.wrapping_add(1);
        guests.all.push(Guest {
            id,
            ip,
            answered: false,
            _stays: stays,
        });
        let guests = Arc::clone(&self.guests);
        Some(Place { id, ends, guests })
    }
}

impl Listener for Door {
    type Io = Guarded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guarded, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => match self.admit(peer) {
                    Some(place) => return (Guarded::new(stream, place), peer),
                    None => drop(stream),
                },
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

/// One place at the door; given back when it is dropped.
struct Place {
    id: u64,
    /// Says when somebody else needs it more.
    ends: oneshot::Receiver<()>,
    guests: Arc<Mutex<Guests>>,
}

impl Place {
    /// A request of it is answered.
    fn answers(&self) {
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(guest) = guests.all.iter_mut().find(|guest| guest.id == self.id) {
            guest.answered = true;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        guests.all.retain(|guest| guest.id != self.id);
    }
}

/// A connection that ends when it takes too long.
pub(crate) struct Guarded {
    stream: TcpStream,
    ends: Instant,
    /// When the request must have come, or the next piece of the answer been taken.
    deadline: Pin<Box<Sleep>>,
    place: Place,
    answered: bool,
}

impl Guarded {
    fn new(stream: TcpStream, place: Place) -> Self {
        Self {
            stream,
            ends: Instant::now() + LIFE,
            deadline: Box::pin(sleep(REQUEST)),
            place,
            answered: false,
        }
    }

    /// An answer went on: the next request may come.
    fn renew(&mut self) {
        if !self.answered {
            self.answered = true;
            self.place.answers();
        }
        let next = (Instant::now() + REQUEST.max(ANSWER)).min(self.ends);
        self.deadline.as_mut().reset(next);
    }

    fn overdue(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        let sent_away = Pin::new(&mut self.place.ends).poll(context).is_ready();
        let due = sent_away || self.deadline.as_mut().poll(context).is_ready();
        due.then(|| io::Error::new(io::ErrorKind::TimedOut, "it took too long"))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.overdue(context) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => match self.overdue(context) {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
            ready => {
                self.renew();
                ready
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn door() -> Door {
        Door::new(TcpListener::bind("127.0.0.1:0").await.unwrap())
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
}
