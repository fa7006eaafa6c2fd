//! The task that owns the writing connection, and group commit.
//!
//! *Guarantees*: a caller is answered after the transaction that holds its write is durable. All
//! that came in while a transaction was being written shares the next one. If a shared
//! transaction fails, each write of it is tried in one of its own, so that nobody fails for
//! another's fault.

use std::path::{Path, PathBuf};

use sqlx::{Connection, SqliteConnection};
use stratum_core::ports::StoreError;
use tokio::sync::{mpsc, oneshot};

use crate::error::Failure;
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
    Close(oneshot::Sender<()>),
}

/// The way to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    sender: mpsc::Sender<Message>,
}

impl Writer {
    /// Starts the task; it ends when the last `Writer` is dropped.
    pub(crate) fn start(path: PathBuf, connection: SqliteConnection) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(serve(path, connection, receiver));
        Self { sender }
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

    /// Writes what waits, folds the log into the file and closes it.
    pub(crate) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.sender.send(Message::Close(reply)).await.is_ok() {
            // An error means that the task has ended: then it is closed too.
            let _ = closed.await;
        }
    }
}

async fn serve(
    path: PathBuf,
    mut connection: SqliteConnection,
    mut receiver: mpsc::Receiver<Message>,
) {
    let mut messages = Vec::new();
    let mut closing = Vec::new();
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
                Message::Close(reply) => closing.push(reply),
            }
        }
        write_all(&path, &mut connection, jobs).await;
    }
    drop(receiver);
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the state did not close; nothing is lost");
    }
    for reply in closing {
        // Whoever stopped waiting need not be told.
        let _ = reply.send(());
    }
}

async fn write_all(path: &Path, connection: &mut SqliteConnection, jobs: Vec<Job>) {
    let writes: Vec<&Write> = jobs.iter().map(|job| &job.write).collect();
    let answers = match transact(connection, &writes).await {
        Ok(answers) => answers,
        Err(failure) if jobs.len() <= 1 => {
            let doing = writes
                .first()
                .map_or("writing", |write| write::doing(write));
            vec![Err(failure.outside(path, doing))]
        }
        Err(_) => one_by_one(path, connection, &writes).await,
    };
    for (job, answer) in jobs.into_iter().zip(answers) {
        // Whoever stopped waiting need not be told.
        let _ = job.reply.send(answer);
    }
}

async fn one_by_one(
    path: &Path,
    connection: &mut SqliteConnection,
    writes: &[&Write],
) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(writes.len());
    for write in writes {
        answers.push(match transact(connection, &[write]).await {
            Ok(mut answer) => answer.pop().unwrap_or(Ok(false)),
            Err(failure) => Err(failure.outside(path, write::doing(write))),
        });
    }
    answers
}

async fn transact(
    connection: &mut SqliteConnection,
    writes: &[&Write],
) -> Result<Vec<Answer>, Failure> {
    let done = attempt(connection, writes).await;
    if done.is_err() {
        // SQLite may have rolled back by itself; then there is nothing to roll back. Anything
        // worse shows at the next BEGIN.
        let _ = run(connection, "ROLLBACK").await;
    }
    done
}

async fn attempt(
    connection: &mut SqliteConnection,
    writes: &[&Write],
) -> Result<Vec<Answer>, Failure> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    run(connection, "BEGIN IMMEDIATE").await?;
    let answers = write::all(connection, writes).await?;
    run(connection, "COMMIT").await?;
    Ok(answers)
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), Failure> {
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}
