//! Where dead letters are read from, and taken out of.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::letter::tried_again;
use super::subscription::Subscription;
use super::{Letter, Origin, Selection};
use crate::config::{Config, DeadLetterFileConfig};
use crate::error::{ConfigError, Error, PublishError, PublishErrorKind};
use crate::sink::DeadLetterFile;

/// Where dead letters are.
pub(super) enum Place {
    File(Arc<DeadLetterFile>),
    Subscription(Subscription),
}

/// A dead letter, and what it is taken out by.
pub(super) struct Found {
    pub letter: Letter,
    pub handle: Handle,
}

/// What a dead letter is taken out by.
pub(super) enum Handle {
    /// Digest of its line: whatever file that is in by then.
    Line(blake3::Hash),
    /// Its acknowledgement id.
    Ack(String),
}

impl Place {
    pub fn new(config: &Config, from: &Origin) -> Result<Self, Error> {
        let configured = config.dead_letter.as_ref().and_then(|section| section.file.as_ref());
        let file = match (from, configured) {
            (Origin::Subscription(name), _) => {
                return Ok(Self::Subscription(Subscription::new(config, name)?));
            }
            (Origin::Configured, None) => {
                return Err(Error::Config(ConfigError {
                    path: "dead_letter.file".into(),
                    message: "missing: name a file or a subscription with dead letters".into(),
                }));
            }
            (Origin::Configured, Some(file)) => file.clone(),
            (Origin::File(path), configured) => {
                let path = path.clone();
                DeadLetterFileConfig { path, ..configured.cloned().unwrap_or_default() }
            }
        };
        Ok(Self::File(Arc::new(DeadLetterFile::new(&file))))
    }

    /// Shows `take` each dead letter of `selection`.
    pub async fn take(
        &self,
        selection: &Selection,
        mut take: impl FnMut(Found),
    ) -> Result<(), Error> {
        match self {
            Self::File(file) => {
                // Blocks: nothing else goes on, and one dead letter is in memory at a time.
                let path = file.path().display().to_string();
                read(file, selection, take).map_err(|error| failed("read", &path, &error))
            }
            Self::Subscription(subscription) => subscription.pull(selection, &mut take).await,
        }
    }

    /// Takes out the dead letters that are done with, and notes one more attempt in those that are
    /// left; what is in a subscription cannot be changed.
    pub async fn settle(&self, done: Vec<Handle>, left: &[Handle]) -> Result<(), Error> {
        match self {
            Self::File(file) => {
                let file = Arc::clone(file);
                let path = file.path().display().to_string();
                let lines = |handles: &[Handle]| -> HashSet<blake3::Hash> {
                    handles.iter().filter_map(Handle::line).collect()
                };
                let (done, left) = (lines(&done), lines(left));
                let settled = spawn_blocking(move || {
                    file.rewrite(|line| match blake3::hash(line) {
                        digest if done.contains(&digest) => None,
                        digest if left.contains(&digest) => Some(tried_again(line)),
                        _ => Some(line.into()),
                    })
                });
                let settled = settled.await.unwrap_or_else(|lost| Err(io::Error::other(lost)));
                settled.map_err(|error| failed("rewrite", &path, &error))
            }
            Self::Subscription(subscription) => {
                subscription.acknowledge(done.into_iter().filter_map(Handle::ack).collect()).await
            }
        }
    }

    /// Gives back what was taken and not removed.
    pub async fn release(&self) {
        if let Self::Subscription(subscription) = self {
            subscription.release().await;
        }
    }
}

impl Handle {
    fn line(&self) -> Option<blake3::Hash> {
        match self {
            Self::Line(line) => Some(*line),
            Self::Ack(_) => None,
        }
    }

    fn ack(self) -> Option<String> {
        match self {
            Self::Ack(id) => Some(id),
            Self::Line(_) => None,
        }
    }
}

impl Selection {
    /// Whether this dead letter is one of them.
    pub(super) fn takes(&self, letter: &Letter) -> bool {
        self.stream.as_ref().is_none_or(|stream| *stream == letter.stream)
            && self.event_id.as_ref().is_none_or(|id| Some(id) == letter.event_id.as_ref())
    }
}

/// The same dead letter may have been written twice, before and after a crash: it counts once.
fn read(
    file: &DeadLetterFile,
    selection: &Selection,
    mut take: impl FnMut(Found),
) -> io::Result<()> {
    let mut seen = HashSet::new();
    file.read(|line| {
        let letter = Letter::read(line).filter(|letter| selection.takes(letter));
        let digest = blake3::hash(line);
        if let Some(letter) = letter
            && seen.insert(digest)
        {
            take(Found { letter, handle: Handle::Line(digest) });
        }
        seen.len() < selection.limit
    })
}

fn failed(what: &str, path: &str, error: &io::Error) -> Error {
    Error::Publish(PublishError {
        kind: PublishErrorKind::DeadLetter,
        message: format!("cannot {what} the dead letters in {path}: {error}"),
        sequence: None,
    })
}
