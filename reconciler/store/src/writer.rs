//! The task that owns the writing connection, and group commit.
//!
//! *Guarantees*: a caller is answered after the transaction that holds its write is durable. All
//! that came in while a transaction was being written shares the next one. If a shared
//! transaction fails, each write of it is tried in one of its own, so that nobody fails for
//! another's fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{Connection, SqliteConnection};
use stratum_core::ports::StoreError;
use tokio::sync::{mpsc, oneshot};

use crate::crash;
use crate::error::Failure;
use crate::open;
use crate::reader::Reader;
use crate::write::audit::Ledger;
use crate::write::{self, Answer, Write};

/// How many writes wait at most; whoever comes then waits to be let in.
const WAITING: usize = 1024;

/// One write, and who waits for it.
struct Job {
    write: Write,
    reply: oneshot::Sender<Answer>,
}

enum Message {
    Job(Box<Job>),
    /// Write the file anew, so that nothing of what was overwritten stays in it.
    Compact(oneshot::Sender<Result<(), Failure>>),
    Close(oneshot::Sender<()>),
}

/// The way to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    sender: mpsc::Sender<Message>,
    transactions: Arc<AtomicU64>,
}

/// What the task owns.
struct Desk {
    reader: Arc<Reader>,
    /// The most bytes of the file.
    bytes: u64,
    /// Opened by the first write: a process that only looks has none.
    connection: Option<SqliteConnection>,
    transactions: Arc<AtomicU64>,
    ledger: Ledger,
}

impl Writer {
    /// Starts the task; it ends when the last `Writer` is dropped. The file will not grow beyond
    /// `bytes`. With `logged`, events and leases are written for the audit log too.
    pub(crate) fn start(reader: Arc<Reader>, bytes: u64, logged: bool) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let transactions = Arc::new(AtomicU64::new(0));
        let desk = Desk {
            reader,
            bytes,
            connection: None,
            transactions: Arc::clone(&transactions),
            ledger: Ledger::new(logged),
        };
        tokio::spawn(serve(desk, receiver));
        Self {
            sender,
            transactions,
        }
    }

    /// How many transactions were written.
    pub(crate) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Has `write` written, and returns when it is durable.
    pub(crate) async fn write(&self, write: Write) -> Answer {
        let doing = write::doing(&write);
        let (reply, answer) = oneshot::channel();
        let message = Message::Job(Box::new(Job { write, reply }));
        let closed = || StoreError::Database {
            doing,
            source: "the state is closed".into(),
        };
        self.sender.send(message).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Writes the file anew, so that nothing of what was overwritten stays in it or in its log.
    pub(crate) async fn compact(&self) -> Result<(), Failure> {
        let closed = || {
            Failure::Refused(StoreError::Database {
                doing: "writing the state anew",
                source: "the state is closed".into(),
            })
        };
        let (reply, answer) = oneshot::channel();
        let sent = self.sender.send(Message::Compact(reply)).await;
        sent.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Writes what waits, folds the log into the file and closes it.
    pub(crate) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.sender.send(Message::Close(reply)).await.is_ok() {
            // An error means that the task has ended: then it is closed too.
            let _ = closed.await;
        }
    }
}

async fn serve(mut desk: Desk, mut receiver: mpsc::Receiver<Message>) {
    let mut messages = Vec::new();
    let mut closing = Vec::new();
    let mut compacting = Vec::new();
    while closing.is_empty() && receiver.recv_many(&mut messages, WAITING).await > 0 {
        // Others that are ready now get the chance to come along.
        tokio::task::yield_now().await;
        while let Ok(message) = receiver.try_recv() {
            messages.push(message);
        }
        let mut jobs = Vec::with_capacity(messages.len());
        for message in messages.drain(..) {
            match message {
                Message::Job(job) => jobs.push(*job),
                Message::Compact(reply) => compacting.push(reply),
                Message::Close(reply) => closing.push(reply),
            }
        }
        desk.write_all(jobs).await;
        for reply in compacting.drain(..) {
            // Whoever stopped waiting need not be told.
            let _ = reply.send(desk.compact().await);
        }
    }
    drop(receiver);
    if let Some(connection) = desk.connection
        && let Err(error) = connection.close().await
    {
        tracing::warn!(%error, "the state did not close; nothing is lost");
    }
    for reply in closing {
        // Whoever stopped waiting need not be told.
        let _ = reply.send(());
    }
}

impl Desk {
    async fn write_all(&mut self, jobs: Vec<Job>) {
        let writes: Vec<&Write> = jobs.iter().map(|job| &job.write).collect();
        let answers = match self.transact(&writes).await {
            Ok(answers) => answers,
            Err(failure) => match writes.as_slice() {
                [] => Vec::new(),
                [one] => vec![Err(failure.outside(self.reader.path(), write::doing(one)))],
                many => self.one_by_one(many).await,
            },
        };
        for (job, answer) in jobs.into_iter().zip(answers) {
            // Whoever stopped waiting need not be told.
            let _ = job.reply.send(answer);
        }
    }

    async fn one_by_one(&mut self, writes: &[&Write]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(writes.len());
        for write in writes {
            answers.push(match self.transact(&[write]).await {
                Ok(mut answer) => answer.pop().unwrap_or(Ok(false)),
                Err(failure) => Err(failure.outside(self.reader.path(), write::doing(write))),
            });
        }
        answers
    }

    async fn transact(&mut self, writes: &[&Write]) -> Result<Vec<Answer>, Failure> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            closed @ None => {
                self.reader.before_writing().await;
                closed.insert(open::writer(self.reader.path(), self.bytes).await?)
            }
        };
        let done = attempt(connection, writes, &mut self.ledger).await;
        match done {
            Ok(_) => {
                self.transactions.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                // SQLite may have rolled back by itself; then there is nothing to roll back.
                // Anything worse shows at the next BEGIN.
                let _ = run(connection, "ROLLBACK").await;
            }
        }
        done
    }
}

impl Desk {
    async fn compact(&mut self) -> Result<(), Failure> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        run(connection, "VACUUM").await?;
        // A reader may keep the log from being cut now; it is at the next fold.
        run(connection, "PRAGMA wal_checkpoint(TRUNCATE)").await
    }
}

async fn attempt(
    connection: &mut SqliteConnection,
    writes: &[&Write],
    ledger: &mut Ledger,
) -> Result<Vec<Answer>, Failure> {
    crash::chance();
    run(connection, "BEGIN IMMEDIATE").await?;
    ledger.clear();
    let answers = write::all(connection, writes, ledger).await?;
    crash::chance();
    run(connection, "COMMIT").await?;
    crash::chance();
    Ok(answers)
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), Failure> {
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}
