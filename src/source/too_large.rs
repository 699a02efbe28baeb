//! Past an event that the server cannot return.
//!
//! The server gives up on the reply in which such an event would stand, with those before it. So
//! the stream is read again event by event; where that ends, too, the next event is the one, and
//! it is read without its documents. Then all is as before.

use crate::event::Batch;

/// How closely a stream is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Care {
    /// In whole replies.
    #[default]
    None,
    /// So many replies more of one event each.
    OneByOne(u32),
    /// The next event without its documents.
    Bare,
}

impl Care {
    /// After a reply that the server could not return; `None` where nothing is left to try.
    pub fn more(self, batch_size: u32) -> Option<Self> {
        match self {
            Self::None if batch_size > 1 => Some(Self::OneByOne(batch_size)),
            Self::None | Self::OneByOne(_) => Some(Self::Bare),
            Self::Bare => None,
        }
    }

    /// After this reply.
    pub fn after(self, batch: &Batch) -> Self {
        match self {
            // A full reply's worth of events has come: it was not among them.
            Self::None | Self::OneByOne(0 | 1) => Self::None,
            Self::OneByOne(left) => Self::OneByOne(left - 1),
            Self::Bare if batch.is_empty() => Self::Bare,
            Self::Bare => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_look_becomes_closer_until_nothing_is_left_to_try() {
        assert_eq!(Care::None.more(1000), Some(Care::OneByOne(1000)));
        assert_eq!(Care::None.more(1), Some(Care::Bare));
        assert_eq!(Care::OneByOne(7).more(1000), Some(Care::Bare));
        assert_eq!(Care::Bare.more(1000), None);
    }

    #[test]
    fn it_ends_behind_the_event_or_where_there_was_none() {
        let empty = Batch::new(Bytes::new(), Vec::new(), None, false);
        let event =
            Batch::new(Bytes::from_static(&[0; 5]), std::iter::once(0..5).collect(), None, false);
        assert_eq!(Care::None.after(&event), Care::None);
        assert_eq!(Care::OneByOne(2).after(&event), Care::OneByOne(1));
        assert_eq!(Care::OneByOne(1).after(&empty), Care::None);
        assert_eq!(Care::Bare.after(&empty), Care::Bare);
        assert_eq!(Care::Bare.after(&event), Care::None);
    }
}
