//! What an operator does with dead letters: look at them, and deliver them after all.

mod again;
mod letter;
mod place;
mod publish;
mod subscription;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;
use crate::error::Error;

use again::Redrive;
use letter::Letter;
use place::{Found, Place};

/// Which dead letters are meant.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Where they are: a file, or a subscription by its name. By default the file of the
    /// configuration.
    pub from: Origin,
    /// Only those of this stream.
    pub stream: Option<String>,
    /// Only that of this event.
    pub event_id: Option<String>,
    /// No more than this, the oldest first.
    pub limit: usize,
}

/// Where dead letters are.
#[derive(Clone, Debug, Default)]
pub enum Origin {
    /// The file that the configuration names, and those put aside.
    #[default]
    Configured,
    /// Another file.
    File(PathBuf),
    /// A subscription, by its name without `projects/…/subscriptions/`.
    Subscription(String),
}

/// A dead letter, for people: nothing of a document is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// `<connection id>.<source name>`.
    pub stream: String,
    /// `validate`, `transform` or `publish`: how far the event had come.
    pub stage: String,
    /// Why it was not delivered.
    pub reason: String,
    /// The event's id.
    pub event_id: Option<String>,
    /// `database.collection`.
    pub namespace: Option<String>,
    /// The operation type.
    pub operation: Option<String>,
    /// Cluster time of the event, in seconds since the epoch.
    pub time: Option<u32>,
}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its event was read again and delivered as the configuration says now.
    Redriven,
    /// The oplog no longer holds its event: the stored message was delivered as it was.
    Stored,
    /// As the configuration is now, its event makes no message.
    Skipped,
    /// It is still where it was.
    Left,
}

impl Outcome {
    /// As a word for people and machines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Redriven => "redriven",
            Self::Stored => "stored",
            Self::Skipped => "skipped",
            Self::Left => "left",
        }
    }
}

/// A dead letter and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redriven {
    /// The dead letter.
    pub letter: Summary,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was left; empty otherwise.
    pub why: String,
}

/// The dead letters of `selection`; they stay where they are.
///
/// # Errors
/// A configuration without a file for dead letters where none is named; a file or a subscription
/// that cannot be read.
pub async fn list(config: &Config, selection: &Selection) -> Result<Vec<Summary>, Error> {
    let place = Place::new(config, &selection.from)?;
    let mut all = Vec::new();
    let found = place.take(selection, |found| all.push(found.letter.summary())).await;
    place.release().await;
    found?;
    Ok(all)
}

/// Delivers the dead letters of `selection`, each within `timeout`, and takes those out that are
/// delivered, unless `keep`.
///
/// # Errors
/// As [`list`]; whatever keeps the first of them from being tried, such as a server that is away.
pub async fn redrive(
    config: &Config,
    selection: &Selection,
    keep: bool,
    timeout: Duration,
) -> Result<Vec<Redriven>, Error> {
    let redrive = Redrive::new(config, timeout)?;
    let place = Place::new(config, &selection.from)?;
    let mut all = Vec::new();
    if let Err(error) = place.take(selection, |found| all.push(found)).await {
        place.release().await;
        return Err(error);
    }
    let mut redriven = Vec::new();
    let ended = redrive_all(&redrive, all, &mut redriven, &place, keep).await;
    place.release().await;
    ended.map(|()| redriven)
}

async fn redrive_all(
    redrive: &Redrive<'_>,
    all: Vec<Found>,
    redriven: &mut Vec<Redriven>,
    place: &Place,
    keep: bool,
) -> Result<(), Error> {
    let (mut done, mut left) = (Vec::new(), Vec::new());
    let mut ended = Ok(());
    for Found { letter, handle } in all {
        match redrive.deliver(&letter).await {
            Ok((outcome, why)) => {
                redriven.push(Redriven { letter: letter.summary(), outcome, why });
                let settled = if outcome == Outcome::Left { &mut left } else { &mut done };
                settled.push(handle);
            }
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
    }
    // What is delivered is taken out also where the rest was not tried.
    if !(keep || redriven.is_empty()) {
        place.settle(done, &left).await?;
    }
    ended
}
