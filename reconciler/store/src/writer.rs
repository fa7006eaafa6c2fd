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
    /// Let nothing of what was overwritten stay in the log of SQLite; when told so, write the file
    /// anew too.
    Compact(bool, oneshot::Sender<Result<(), Failure>>),
    /// Give some of the room back that nothing needs.
    GiveBack(oneshot::Sender<Result<(), Failure>>),
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

    /// Lets nothing of what was overwritten stay in the log of SQLite; with `anew` the file is
    /// written anew too, so that nothing of it stays there either.
    pub(crate) async fn compact(&self, anew: bool) -> Result<(), Failure> {
        const DOING: &str = "writing the state anew";
        let (reply, answer) = oneshot::channel();
        let sent = self.sender.send(Message::Compact(anew, reply)).await;
        sent.map_err(|_| closed(DOING))?;
        answer.await.map_err(|_| closed(DOING))?
    }

    /// Gives some of the room back that nothing needs, so much that nobody waits long for it.
    pub(crate) async fn give_room_back(&self) -> Result<(), Failure> {
        const DOING: &str = "giving room back";
        let (reply, answer) = oneshot::channel();
        let sent = self.sender.send(Message::GiveBack(reply)).await;
        sent.map_err(|_| closed(DOING))?;
        answer.await.map_err(|_| closed(DOING))?
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

fn closed(doing: &'static str) -> Failure {
    Failure::Refused(StoreError::Database {
        doing,
        source: "the state is closed".into(),
    })
}

async fn serve(mut desk: Desk, mut receiver: mpsc::Receiver<Message>) {
    let mut messages = Vec::new();
    let mut closing = Vec::new();
    let (mut compacting, mut giving) = (Vec::new(), Vec::new());
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
                Message::Compact(anew, reply) => compacting.push((anew, reply)),
                Message::GiveBack(reply) => giving.push(reply),
                Message::Close(reply) => closing.push(reply),
            }
        }
        desk.write_all(jobs).await;
        for reply in giving.drain(..) {
            // Whoever stopped waiting need not be told.
            let _ = reply.send(desk.give_room_back().await);
        }
        for (anew, reply) in compacting.drain(..) {
            // Whoever stopped waiting need not be told.
            let _ = reply.send(desk.compact(anew).await);
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
        let connection = opened(&mut self.connection, &self.reader, self.bytes).await?;
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

/// The connection that writes, opened when it is not.
async fn opened<'c>(
    connection: &'c mut Option<SqliteConnection>,
    reader: &Reader,
    bytes: u64,
) -> Result<&'c mut SqliteConnection, Failure> {
    match connection {
        Some(connection) => Ok(connection),
        closed @ None => {
            reader.before_writing().await;
            Ok(closed.insert(open::writer(reader.path(), bytes).await?))
        }
    }
}

impl Desk {
    /// Does nothing in a file that was not made for it.
    async fn give_room_back(&mut self) -> Result<(), Failure> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        // A page at a time: some megabytes in all.
        sqlx::query("PRAGMA incremental_vacuum(4096)")
            .fetch_all(connection)
            .await?;
        Ok(())
    }

    async fn compact(&mut self, anew: bool) -> Result<(), Failure> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        if anew {
            run(connection, "VACUUM").await?;
        }
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
