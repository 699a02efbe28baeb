//! How far back the oplog reaches: so long may a stream stand still.

use mongodb::Client;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};

use super::server::{Kind, Server};
use crate::admin::finding::{Group, Severity};
use crate::error::{SourceError, SourceErrorKind};
use crate::source::meaning;

/// A night and a day: what an outage that nobody watches may take.
const ENOUGH_SECONDS: u32 = 24 * 3600;

/// An oplog that still grows reaches back to its beginning, and will reach back further.
const FULL_PERCENT: f64 = 90.0;

const FIX: &str = "db.adminCommand({replSetResizeOplog: 1, minRetentionHours: 48})";

/// What is known of the oplog.
struct Window {
    seconds: u32,
    /// Of its greatest size; `None` where the server does not say.
    full_percent: Option<f64>,
}

pub(super) async fn check(client: &Client, server: &Server, group: &mut Group) {
    if let Kind::Sharded = server.kind {
        let why = "a mongos does not show the oplogs of its shards";
        return group.skipped(&["oplog"], why);
    }
    match window(client).await {
        Ok(Some(window)) => report(&window, group),
        Ok(None) => group.skipped(&["oplog"], "there is no oplog yet"),
        Err(error) if error.kind == SourceErrorKind::Privilege => {
            let what = "the user may not read the oplog, so how far back it reaches is not known";
            let fix = "Grant `find` on local.oplog.rs where this should be checked.";
            group.add(Severity::Note, "oplog", what, fix);
        }
        Err(error) => {
            group.add(Severity::Note, "oplog", format!("could not be read: {error}"), "");
        }
    }
}

async fn window(client: &Client) -> Result<Option<Window>, SourceError> {
    let (oldest, newest) = (edge(client, 1).await?, edge(client, -1).await?);
    let Some((oldest, newest)) = oldest.zip(newest) else { return Ok(None) };
    let local = client.database("local");
    let size = local.run_command(doc! { "collStats": "oplog.rs" }).await;
    let full_percent = size.ok().and_then(|stats| full_percent(&stats));
    Ok(Some(Window { seconds: newest.saturating_sub(oldest), full_percent }))
}

/// Time of the oldest (1) or newest (-1) entry, in seconds since the epoch.
async fn edge(client: &Client, direction: i32) -> Result<Option<u32>, SourceError> {
    let oplog = client.database("local").collection::<RawDocumentBuf>("oplog.rs");
    let entry = oplog.find_one(doc! {}).sort(doc! { "$natural": direction });
    let entry = entry.projection(doc! { "ts": 1 }).await.map_err(|error| meaning(&error))?;
    Ok(entry.and_then(|entry| entry.get_timestamp("ts").ok()).map(|time| time.time))
}

fn full_percent(stats: &Document) -> Option<f64> {
    let number = |key: &str| match stats.get(key)? {
        Bson::Int32(number) => Some(f64::from(*number)),
        #[expect(clippy::cast_precision_loss, reason = "a percentage of bytes")]
        Bson::Int64(number) => Some(*number as f64),
        Bson::Double(number) => Some(*number),
        _ => None,
    };
    let most = number("maxSize").filter(|most| *most > 0.0)?;
    Some(number("size")? / most * 100.0)
}

fn report(window: &Window, group: &mut Group) {
    let reach = span(window.seconds);
    let full =
        window.full_percent.map_or_else(String::new, |full| format!(" and is {full:.0} % full"));
    let what = format!("the oplog reaches back {reach}{full}: a stream may stand still that long");
    let is_full = window.full_percent.is_none_or(|full| full >= FULL_PERCENT);
    if window.seconds >= ENOUGH_SECONDS {
        group.ok("oplog", what);
    } else if is_full {
        group.add(Severity::Warning, "oplog", what, FIX);
    } else {
        group.add(Severity::Note, "oplog", format!("{what}, and longer as it grows"), "");
    }
}

fn span(seconds: u32) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::finding::Finding;

    fn found(hours: u32, full_percent: Option<f64>) -> Finding {
        let mut group = Group::new("connection main".into());
        report(&Window { seconds: hours * 3600, full_percent }, &mut group);
        group.into_findings().remove(0)
    }

    #[test]
    fn a_short_window_is_a_warning_once_the_oplog_is_full() {
        assert_eq!(found(5, Some(95.0)).severity, Severity::Warning);
        assert!(found(5, Some(95.0)).fix.contains("replSetResizeOplog"));
        assert_eq!(found(5, None).severity, Severity::Warning);
        assert_eq!(found(5, Some(3.0)).severity, Severity::Note);
        assert_eq!(found(24, Some(100.0)).severity, Severity::Ok);
        assert!(found(24 * 3, Some(100.0)).what.contains("3 days and is 100 % full"));
    }

    #[test]
    fn the_share_in_use_is_that_of_the_greatest_size() {
        let stats = doc! { "size": 250_i64, "maxSize": 1000.0 };
        assert_eq!(full_percent(&stats), Some(25.0));
        assert_eq!(full_percent(&doc! { "size": 250_i64, "maxSize": 0 }), None);
    }
}
