//! `_CHANGE_SEQUENCE_NUMBER`: rises with every event of a stream, told from the event alone, so
//! that a stream which resumes in the middle of a transaction goes on where it was.

use std::io::Write as _;

use crate::event::token::index_in_cluster_time;

/// Writes `<seconds><ordinal>/<index + 1>` in hex, the groups of equal length for all events: so
/// their order is the same as numbers and as text. A second group of 0 is below all events of its
/// moment. False where the token's layout is not known.
pub(super) fn write(token_data: &[u8], out: &mut Vec<u8>) -> bool {
    let (Some(index), Some(time)) = (index_in_cluster_time(token_data), token_data.get(2..18))
    else {
        return false;
    };
    out.extend(time.iter().map(u8::to_ascii_lowercase));
    // Writing to a vector never fails.
    write!(out, "/{:08x}", u64::from(index) + 1).is_ok()
}
