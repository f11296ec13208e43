//! The journal on a thread of its own: a slow disk holds a durable record's effects, and nothing else.

use std::{io, path::Path, time::Duration};

use firedrill_drill::{At, Stamped};
use firedrill_journal::{JournalError, Writer};
use tokio::sync::{mpsc, oneshot};

/// Records that wait for the disk.
const QUEUE: usize = 1_024;
/// A disk that takes longer for one durable record is a journal that cannot be written.
const DURABLE_LIMIT: Duration = Duration::from_secs(3);

/// Where records go. The journal is one; tests have others.
pub trait Log: Send + 'static {
    /// Appends a record; `durable`: it is on disk when this returns.
    fn append(&mut self, record: &Stamped, durable: bool) -> io::Result<()>;

    /// The chain's hash so far, in hex; `None` where nothing is chained.
    fn hash(&self) -> Option<String> {
        None
    }

    /// Writes the closing record; returns the chain's hash in hex.
    fn close(&mut self, at: At) -> io::Result<String>;
}

/// A journal's file.
pub struct JournalFile(Option<Writer>);

impl JournalFile {
    /// A new one; an existing one is never touched.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        Writer::create(path).map(|writer| Self(Some(writer)))
    }
}

fn closed() -> io::Error {
    io::Error::other("the journal is closed")
}

impl Log for JournalFile {
    fn append(&mut self, record: &Stamped, durable: bool) -> io::Result<()> {
        let writer = self.0.as_mut().ok_or_else(closed)?;
        writer.append(record, durable).map_err(io::Error::other)
    }

    fn hash(&self) -> Option<String> {
        self.0.as_ref().map(|writer| writer.hash().to_owned())
    }

    fn close(&mut self, at: At) -> io::Result<String> {
        let writer = self.0.take().ok_or_else(closed)?;
        writer.seal(at).map_err(io::Error::other)
    }
}

enum Work {
    Append(Box<Stamped>, Option<oneshot::Sender<Result<(), String>>>),
    Hash(oneshot::Sender<Option<String>>),
    Close(At, oneshot::Sender<Result<String, String>>),
}

/// The thread's other end.
pub(crate) struct LogThread {
    work: mpsc::Sender<Work>,
    failures: mpsc::Receiver<String>,
    failed: bool,
}

impl LogThread {
    /// Starts the thread. It ends when this is dropped and what waits is written.
    pub(crate) fn start(mut log: Box<dyn Log>) -> io::Result<Self> {
        let (work, mut queue) = mpsc::channel(QUEUE);
        let (fail, failures) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                while let Some(work) = queue.blocking_recv() {
                    match work {
                        Work::Append(record, done) => {
                            let result = log
                                .append(&record, done.is_some())
                                .map_err(|error| error.to_string());
                            match (result, done) {
                                // Who waited for it and is gone has counted it as failed.
                                (result, Some(done)) => drop(done.send(result)),
                                // One failure is enough to stop the drill.
                                (Err(why), None) => drop(fail.try_send(why)),
                                (Ok(()), None) => {}
                            }
                        }
                        Work::Hash(done) => drop(done.send(log.hash())),
                        Work::Close(at, done) => {
                            drop(done.send(log.close(at).map_err(|error| error.to_string())));
                        }
                    }
                }
            })?;
        Ok(Self {
            work,
            failures,
            failed: false,
        })
    }

    /// Hands a record over. It is on disk some time later.
    pub(crate) fn append(&mut self, record: Stamped) -> Result<(), String> {
        let work = Work::Append(Box::new(record), None);
        self.work
            .try_send(work)
            .map_err(|_| "the disk is too slow: records pile up".to_owned())
    }

    /// Waits until a record is on disk.
    pub(crate) async fn append_durable(&mut self, record: Stamped) -> Result<(), String> {
        let (done, written) = oneshot::channel();
        let work = Work::Append(Box::new(record), Some(done));
        let waiting = async {
            if self.work.send(work).await.is_err() {
                return Err("its thread is gone".to_owned());
            }
            written
                .await
                .unwrap_or_else(|_| Err("its thread is gone".to_owned()))
        };
        match tokio::time::timeout(DURABLE_LIMIT, waiting).await {
            Ok(result) => result,
            Err(_) => Err(format!(
                "the disk did not confirm it within {} s",
                DURABLE_LIMIT.as_secs()
            )),
        }
    }

    /// The chain's hash after everything that was handed over so far; `None` where the disk is too slow or broken.
    pub(crate) async fn hash(&self) -> Option<String> {
        let (done, told) = oneshot::channel();
        let asking = async {
            self.work.send(Work::Hash(done)).await.ok()?;
            told.await.ok().flatten()
        };
        tokio::time::timeout(DURABLE_LIMIT, asking).await.ok().flatten()
    }

    /// The first failure of records that nobody waited for.
    pub(crate) async fn failure(&mut self) -> String {
        if !self.failed
            && let Some(why) = self.failures.recv().await
        {
            self.failed = true;
            return why;
        }
        std::future::pending().await
    }

    /// Closes the journal; its hash.
    pub(crate) async fn close(self, at: At) -> Result<String, String> {
        let (done, closed) = oneshot::channel();
        let closing = async {
            if self.work.send(Work::Close(at, done)).await.is_err() {
                return Err("its thread is gone".to_owned());
            }
            closed
                .await
                .unwrap_or_else(|_| Err("its thread is gone".to_owned()))
        };
        match tokio::time::timeout(DURABLE_LIMIT, closing).await {
            Ok(result) => result,
            Err(_) => Err("the disk did not take the closing record".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use firedrill_drill::{Entry, Event};

    use super::*;

    struct Full;

    impl Log for Full {
        fn append(&mut self, _: &Stamped, _: bool) -> io::Result<()> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }

        fn close(&mut self, _: At) -> io::Result<String> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_said_to_those_who_wait_and_to_those_who_do_not() {
        let mut log = LogThread::start(Box::new(Full)).unwrap();
        let record = Stamped {
            at: At::default(),
            entry: Entry::event(&Event::Tick),
        };
        assert!(log.append_durable(record.clone()).await.is_err());
        log.append(record).unwrap();
        assert!(!log.failure().await.is_empty());
        assert!(log.close(At::default()).await.is_err());
    }
}
