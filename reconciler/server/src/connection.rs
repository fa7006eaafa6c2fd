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
    /// It took too long, or made room for another.
    over: bool,
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
            over: false,
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
        // Whoever was sent away is told once, and asked no more.
        self.over = self.over
            || Pin::new(&mut self.place.ends).poll(context).is_ready()
            || self.deadline.as_mut().poll(context).is_ready();
        self.over
            .then(|| io::Error::new(io::ErrorKind::TimedOut, "it took too long"))
    }

    /// The same, unless it is not done and too late: encrypted, what was written may wait here.
    fn in_time<T>(
        &mut self,
        done: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            return done;
        }
        match self.overdue(context) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
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
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_ready() {
            self.renew();
        }
        self.in_time(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(shut, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guests::Guests;
    use std::sync::Arc;
    use tokio::io::AsyncWriteExt as _;
    use tokio::time::timeout;

    /// Takes what is written, and never gets rid of it.
    struct Stuck;

    impl AsyncRead for Stuck {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Stuck {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_nothing_of_an_answer_is_let_go() {
        let guests = Arc::default();
        let peer = "192.0.2.1:1".parse().unwrap();
        let place = Guests::admit(&guests, 2, peer).unwrap();
        let mut guarded = Guarded::new(Stuck, place, Instant::now());
        let begun = Instant::now();
        guarded.write_all(b"an answer").await.unwrap();
        let flushed = timeout(LIFE, guarded.flush()).await.unwrap();
        assert_eq!(flushed.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= ANSWER && begun.elapsed() < LIFE);
        let error = guarded.shutdown().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(guarded);
        assert!(guests.lock().unwrap().all.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_makes_room_ends_however_often_that_is_looked_at() {
        use tokio::io::AsyncReadExt as _;
        let guests = Arc::default();
        let admit = |peer: &str| Guests::admit(&guests, 1, peer.parse().unwrap());
        let place = admit("192.0.2.1:1").unwrap();
        let begun = Instant::now();
        let mut guarded = Guarded::new(Stuck, place, begun);
        let _other = admit("192.0.2.2:1").unwrap();
        for _ in 0..2 {
            assert!(guarded.read_u8().await.is_err());
            let flushed = timeout(LIFE, guarded.flush()).await.unwrap();
            assert!(flushed.is_err());
            assert!(guarded.shutdown().await.is_err());
        }
        assert_eq!(begun.elapsed().as_secs(), 0);
    }
}
