//! A connection that ends when it takes too long.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::guests::Place;
use crate::limits::{ANSWER, LIFE, REQUEST};

/// Bytes in both directions, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that ends when it takes too long.
pub(crate) struct Guarded {
    stream: Box<dyn Stream>,
    ends: Instant,
    /// When the request must have come, or the next piece of the answer been taken.
    deadline: Pin<Box<Sleep>>,
    place: Place,
    answered: bool,
}

impl Guarded {
    /// A connection that began at `begun`.
    pub(crate) fn new(stream: impl Stream + 'static, place: Place, begun: Instant) -> Self {
        Self {
            stream: Box::new(stream),
            ends: begun + LIFE,
            deadline: Box::pin(sleep_until(begun + REQUEST)),
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
