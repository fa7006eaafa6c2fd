//! The connections that are there: how many, whose, and who makes room.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::limits::CONNECTIONS_FROM_ONE;

/// The address that limits count by: of IPv6 the first half, which one host has to itself.
pub(crate) fn canonical(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(six) if !six.is_loopback() => {
            let half = u128::from(six) >> 64 << 64;
            IpAddr::V6(half.into())
        }
        other => other,
    }
}

/// A connection that is there.
pub(crate) struct Guest {
    id: u64,
    ip: IpAddr,
    /// A request of it was answered, or is being.
    answered: bool,
    /// It ends when this is dropped.
    _stays: oneshot::Sender<()>,
}

/// The connections that are there, in the order in which they came.
#[derive(Default)]
pub(crate) struct Guests {
    next: u64,
    pub(crate) all: Vec<Guest>,
}

impl Guests {
    /// Sends away who came first of those that `which` names and were not answered; whether there
    /// is one.
    fn send_away(&mut self, which: impl Fn(&Guest) -> bool) -> bool {
        let found = self.all.iter().position(|one| !one.answered && which(one));
        found.map(|place| self.all.remove(place)).is_some()
    }

    /// Gives a place, of `in_all`, to whoever comes; `None` where nobody can be sent away for it.
    pub(crate) fn admit(
        shared: &Arc<Mutex<Self>>,
        in_all: usize,
        peer: SocketAddr,
    ) -> Option<Place> {
        let ip = canonical(peer.ip());
        let mut guests = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let from_one = if ip.is_loopback() {
            in_all
        } else {
            CONNECTIONS_FROM_ONE
        };
        let own = guests.all.iter().filter(|guest| guest.ip == ip).count();
        if own >= from_one && !guests.send_away(|guest| guest.ip == ip) {
            return None;
        }
        if guests.all.len() >= in_all && !guests.send_away(|_| true) {
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
        let guests = Arc::clone(shared);
        Some(Place { id, ends, guests })
    }
}

/// One place at the door; given back when it is dropped.
pub(crate) struct Place {
    id: u64,
    /// Says when somebody else needs it more.
    pub(crate) ends: oneshot::Receiver<()>,
    guests: Arc<Mutex<Guests>>,
}

impl Place {
    /// A request of it is answered.
    pub(crate) fn answers(&self) {
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
