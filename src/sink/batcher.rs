//! Cuts the messages that wait in a lane into requests.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::culprit::Culprit;
use crate::event::Message;
use crate::limits::MAX_REQUEST_BYTES;

/// Bytes of a protobuf field with a one-byte tag and `len` bytes of content.
#[must_use]
pub fn field_bytes(len: usize) -> usize {
    let bits = usize::BITS - len.leading_zeros();
    let varint = bits.div_ceil(7).max(1) as usize;
    1 + varint + len
}

/// How large a request may become.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most messages.
    pub messages: usize,
    /// Most bytes, overhead included; a message that is larger alone is sent alone.
    pub bytes: usize,
    /// Bytes of a request without messages: the topic's field.
    pub overhead: usize,
}

/// Messages that share a request.
#[derive(Debug)]
pub struct Batch {
    /// In the order in which they were queued.
    pub messages: Vec<Message>,
    /// Bytes of their fields in the request, without the topic's.
    pub bytes: usize,
}

impl Batch {
    /// The part before the message `sequence`; `None` when there is none.
    #[must_use]
    pub fn before(self: &Arc<Self>, sequence: u64) -> Option<Arc<Self>> {
        let keep = self.messages.partition_point(|message| message.sequence < sequence);
        if keep == self.messages.len() {
            return Some(Arc::clone(self));
        }
        let messages = self.messages[..keep].to_vec();
        let bytes = messages.iter().map(|message| field_bytes(message.body.len())).sum();
        (keep > 0).then(|| Arc::new(Self { messages, bytes }))
    }
}

/// What lies at the front of a queue.
#[derive(Debug)]
pub enum Cut {
    /// A request's worth of messages, taken out.
    Batch(Batch),
    /// A message that Pub/Sub can never take, left where it is.
    TooLarge(Culprit),
}

/// Messages in order, with the times by which they want to be sent.
#[derive(Debug, Default)]
pub struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    /// Runs of messages with the same deadline. The deadlines grow from front to back: a message
    /// cannot be sent later than one behind it, so an urgent one shortens those before it.
    deadlines: VecDeque<(usize, Instant)>,
}

impl Queue {
    /// Appends a message that wants to be sent by `deadline`.
    pub fn push(&mut self, message: Message, deadline: Instant) {
        self.bytes += field_bytes(message.body.len());
        self.messages.push_back(message);
        let mut run = 1;
        while let Some((count, last)) = self.deadlines.back_mut() {
            if *last == deadline {
                *count += run;
                return;
            }
            if *last < deadline {
                break;
            }
            run += *count;
            self.deadlines.pop_back();
        }
        self.deadlines.push_back((run, deadline));
    }

    /// Puts messages back that were cut, to be sent at once.
    pub fn put_back(&mut self, batch: &Batch, now: Instant) {
        for message in batch.messages.iter().rev() {
            self.messages.push_front(message.clone());
        }
        self.bytes += batch.bytes;
        let deadline = self.deadline().map_or(now, |first| first.min(now));
        self.deadlines.push_front((batch.messages.len(), deadline));
    }

    /// Drops the message `sequence` and all behind it; what is left is to be sent at once.
    pub fn keep_before(&mut self, sequence: u64, now: Instant) {
        let keep = self.messages.partition_point(|message| message.sequence < sequence);
        for message in self.messages.drain(keep..) {
            self.bytes -= field_bytes(message.body.len());
        }
        self.deadlines.clear();
        if keep > 0 {
            self.deadlines.push_back((keep, now));
        }
    }

    /// Takes the first message out.
    pub fn take_first(&mut self) -> Option<Message> {
        let first = self.messages.pop_front()?;
        self.bytes -= field_bytes(first.body.len());
        self.forget_deadlines(1);
        Some(first)
    }

    /// By when the front wants to be sent; `None` when nothing waits.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(_, deadline)| *deadline)
    }

    /// True when there is enough for a full request.
    #[must_use]
    pub fn is_full(&self, limits: &Limits) -> bool {
        self.messages.len() >= limits.messages || limits.overhead + self.bytes >= limits.bytes
    }

    /// Takes the next request's messages out: as many as the limits allow, `most` at the most.
    ///
    /// # Panics
    /// When the queue is empty: an empty lane never sends.
    pub fn cut(&mut self, limits: &Limits, most: usize) -> Cut {
        let first = self.messages.front().expect("a lane that sends holds a message");
        let mut bytes = field_bytes(first.body.len());
        if limits.overhead + bytes > MAX_REQUEST_BYTES {
            return Cut::TooLarge(Culprit::new(first, limits.overhead + bytes));
        }
        let mut count = 1;
        for message in self.messages.iter().take(limits.messages.min(most)).skip(1) {
            let more = field_bytes(message.body.len());
            if limits.overhead + bytes + more > limits.bytes {
                break;
            }
            bytes += more;
            count += 1;
        }
        self.bytes -= bytes;
        self.forget_deadlines(count);
        Cut::Batch(Batch { messages: self.messages.drain(..count).collect(), bytes })
    }

    fn forget_deadlines(&mut self, mut count: usize) {
        while let Some((run, _)) = self.deadlines.front_mut() {
            if *run > count {
                *run -= count;
                return;
            }
            count -= *run;
            self.deadlines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::event::{Destination, Lane};

    fn message(sequence: u64, len: usize) -> Message {
        Message {
            sequence,
            to: Destination::DeadLetter,
            lane: Lane::Key(1),
            body: Bytes::from(vec![0; len]),
            claim: None,
        }
    }

    fn batch(cut: Cut) -> Batch {
        match cut {
            Cut::Batch(batch) => batch,
            Cut::TooLarge(culprit) => panic!("{culprit:?}"),
        }
    }

    fn sequences(batch: &Batch) -> Vec<u64> {
        batch.messages.iter().map(|message| message.sequence).collect()
    }

    #[test]
    fn field_bytes_are_those_of_protobuf() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 10_000_000] {
            assert_eq!(field_bytes(len), prost::encoding::bytes::encoded_len(1, &vec![0u8; len]));
        }
    }

    #[test]
    fn a_message_over_the_target_but_within_the_limit_goes_alone() {
        let limits = Limits { messages: 1000, bytes: 9_500_000, overhead: 40 };
        let mut queue = Queue::default();
        let now = Instant::now();
        for (sequence, len) in [(1, 10), (2, 9_999_900), (3, 10), (4, 9_999_990)] {
            queue.push(message(sequence, len), now);
        }
        assert_eq!(sequences(&batch(queue.cut(&limits, usize::MAX))), [1]);
        assert_eq!(sequences(&batch(queue.cut(&limits, usize::MAX))), [2]);
        assert_eq!(sequences(&batch(queue.cut(&limits, usize::MAX))), [3]);
        let cut = queue.cut(&limits, usize::MAX);
        assert!(
            matches!(&cut, Cut::TooLarge(Culprit { sequence: 4, bytes: 10_000_035, .. })),
            "{cut:?}"
        );
    }

    #[test]
    fn an_urgent_message_shortens_the_deadline_of_those_before_it_only() {
        let limits = Limits { messages: 2, bytes: 1000, overhead: 0 };
        let now = Instant::now();
        let after = |millis| now + Duration::from_millis(millis);
        let mut queue = Queue::default();
        queue.push(message(1, 1), after(100));
        queue.push(message(2, 1), after(5));
        queue.push(message(3, 1), after(105));
        assert_eq!(queue.deadline(), Some(after(5)));
        let first = batch(queue.cut(&limits, 2));
        assert_eq!(queue.deadline(), Some(after(105)));
        queue.put_back(&first, after(50));
        assert_eq!(queue.deadline(), Some(after(50)));
        assert_eq!(sequences(&batch(queue.cut(&limits, 2))), [1, 2]);
        assert_eq!(sequences(&batch(queue.cut(&limits, 2))), [3]);
        assert_eq!(queue.deadline(), None);
    }

    #[test]
    fn what_is_kept_before_a_message_is_sent_at_once() {
        let limits = Limits { messages: 3, bytes: 1000, overhead: 0 };
        let now = Instant::now();
        let mut queue = Queue::default();
        for sequence in [2, 4, 6, 8, 10] {
            queue.push(message(sequence, 5), now + Duration::from_secs(sequence));
        }
        queue.keep_before(9, now);
        assert_eq!(queue.deadline(), Some(now));
        let first = Arc::new(batch(queue.cut(&limits, 3)));
        assert_eq!(sequences(&first.before(6).unwrap()), [2, 4]);
        assert_eq!(first.before(6).unwrap().bytes, 2 * field_bytes(5));
        assert!(Arc::ptr_eq(&first.before(7).unwrap(), &first));
        assert!(first.before(2).is_none());
        assert_eq!((queue.bytes, queue.deadline()), (field_bytes(5), Some(now)));
        queue.keep_before(8, now);
        assert_eq!((queue.bytes, queue.deadline()), (0, None));
    }

    proptest! {
        #[test]
        fn limits_hold_and_order_is_kept(
            lens in prop::collection::vec(prop_oneof![0..20usize, 100..400usize], 1..300),
            messages in 1..40usize,
            bytes in 50..600usize,
            most in 1..60usize,
        ) {
            let limits = Limits { messages, bytes, overhead: 30 };
            let mut queue = Queue::default();
            let now = Instant::now();
            for (sequence, len) in lens.iter().enumerate() {
                queue.push(message(sequence as u64, *len), now);
            }
            let mut seen = Vec::new();
            while queue.deadline().is_some() {
                let batch = batch(queue.cut(&limits, most));
                prop_assert!(!batch.messages.is_empty());
                prop_assert!(batch.messages.len() <= messages.min(most));
                let fields = batch.messages.iter().map(|m| field_bytes(m.body.len())).sum::<usize>();
                prop_assert_eq!(batch.bytes, fields);
                prop_assert!(30 + fields <= bytes || batch.messages.len() == 1);
                seen.extend(sequences(&batch));
            }
            prop_assert_eq!(seen, (0..lens.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(queue.bytes, 0);
            prop_assert_eq!(queue.deadline(), None);
        }
    }

    #[test]
    fn a_request_of_the_published_types_has_the_size_that_is_counted() {
        use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
            PublishRequest, PubsubMessage,
        };
        let bodies: Vec<PubsubMessage> = [0, 5, 200, 20_000]
            .map(|len| PubsubMessage { data: vec![7; len].into(), ..Default::default() })
            .into();
        let topic = "projects/p/topics/t".to_owned();
        let counted = field_bytes(topic.len())
            + bodies.iter().map(|body| field_bytes(body.encoded_len())).sum::<usize>();
        assert_eq!(counted, PublishRequest { topic, messages: bodies }.encoded_len());
    }
}
