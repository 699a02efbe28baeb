//! Writes a `PublishRequest` straight into the gRPC frame, from messages that are encoded already.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{decode_varint, encode_varint};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::batcher::{Batch, field_bytes};

/// `PublishRequest.topic` and `PublishResponse.message_ids`: field 1, length-delimited.
const FIELD_1: u8 = 0x0a;
/// `PublishRequest.messages`: field 2, length-delimited.
const FIELD_2: u8 = 0x12;
/// Compression flag and length in front of a gRPC message.
const FRAME_HEADER: usize = 5;

/// `topic` as the field that opens every request.
#[must_use]
pub fn topic_field(topic: &str) -> Bytes {
    let mut field = Vec::with_capacity(field_bytes(topic.len()));
    field.put_u8(FIELD_1);
    encode_varint(topic.len() as u64, &mut field);
    field.put_slice(topic.as_bytes());
    field.into()
}

/// A request: the topic's field and a batch that a retry shares instead of copying it.
#[derive(Clone, Debug)]
pub struct PublishFrame {
    /// Made by [`topic_field`].
    pub topic: Bytes,
    /// The messages.
    pub batch: Arc<Batch>,
}

impl PublishFrame {
    fn len(&self) -> usize {
        self.topic.len() + self.batch.bytes
    }
}

/// Encodes a [`PublishFrame`] with one copy of each message; decodes a `PublishResponse` to the
/// number of its message ids.
#[derive(Debug)]
pub struct PublishCodec {
    frame_len: usize,
}

impl PublishCodec {
    /// The codec for one request, whose buffer is allocated once, at its size.
    #[must_use]
    pub fn new(frame: &PublishFrame) -> Self {
        Self { frame_len: frame.len() }
    }
}

impl Codec for PublishCodec {
    type Encode = PublishFrame;
    type Decode = usize;
    type Encoder = FrameEncoder;
    type Decoder = IdCounter;

    fn encoder(&mut self) -> FrameEncoder {
        FrameEncoder { frame_len: self.frame_len }
    }

    fn decoder(&mut self) -> IdCounter {
        IdCounter
    }
}

/// See [`PublishCodec`].
#[derive(Debug)]
pub struct FrameEncoder {
    frame_len: usize,
}

impl Encoder for FrameEncoder {
    type Item = PublishFrame;
    type Error = Status;

    fn encode(&mut self, frame: PublishFrame, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        put_frame(&frame, buf);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(FRAME_HEADER + self.frame_len, FRAME_HEADER + self.frame_len)
    }
}

fn put_frame(frame: &PublishFrame, buf: &mut impl BufMut) {
    buf.put_slice(&frame.topic);
    for message in &frame.batch.messages {
        buf.put_u8(FIELD_2);
        encode_varint(message.body.len() as u64, buf);
        buf.put_slice(&message.body);
    }
}

/// See [`PublishCodec`].
#[derive(Debug)]
pub struct IdCounter;

impl Decoder for IdCounter {
    type Item = usize;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<usize>, Status> {
        count_ids(buf).map(Some).ok_or_else(|| Status::internal("not a PublishResponse"))
    }
}

/// Number of message ids in a `PublishResponse`, which has no other field; `None` for bytes that
/// are not one.
fn count_ids(buf: &mut impl Buf) -> Option<usize> {
    let mut count = 0;
    while buf.has_remaining() {
        if buf.get_u8() != FIELD_1 {
            return None;
        }
        let len = usize::try_from(decode_varint(buf).ok()?).ok()?;
        if len > buf.remaining() {
            return None;
        }
        buf.advance(len);
        count += 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
        PublishRequest, PublishResponse, PubsubMessage,
    };
    use prost::Message as _;

    use super::*;
    use crate::event::{Destination, Lane, Message};

    #[test]
    fn a_frame_is_a_publish_request() {
        let messages: Vec<PubsubMessage> = [0, 1, 127, 128, 70_000]
            .map(|len| PubsubMessage {
                data: vec![b'x'; len].into(),
                ordering_key: "main.orders/7".into(),
                ..Default::default()
            })
            .into();
        let encoded: Vec<Message> = messages
            .iter()
            .map(|message| Message {
                sequence: 0,
                to: Destination::DeadLetter,
                lane: Lane::Key(7),
                body: message.encode_to_vec().into(),
                claim: None,
            })
            .collect();
        let bytes = encoded.iter().map(|message| field_bytes(message.body.len())).sum();
        let topic = "projects/p/topics/t";
        let frame = PublishFrame {
            topic: topic_field(topic),
            batch: Arc::new(Batch { messages: encoded, bytes }),
        };
        let mut written = Vec::new();
        put_frame(&frame, &mut written);
        assert_eq!(written.len(), frame.len());
        let read = PublishRequest::decode(written.as_slice()).unwrap();
        assert_eq!(read, PublishRequest { topic: topic.into(), messages });
    }

    #[test]
    fn ids_are_counted() {
        for ids in [vec![], vec!["1".to_owned()], vec!["x".repeat(300); 1000]] {
            let count = ids.len();
            let response = PublishResponse { message_ids: ids }.encode_to_vec();
            assert_eq!(count_ids(&mut response.as_slice()), Some(count));
        }
    }

    #[test]
    fn bytes_that_are_no_response_are_no_count() {
        for bytes in [&[0x0a][..], &[0x0a, 5, 1], &[0x12, 0], &[0x0a, 0xff, 0xff]] {
            assert_eq!(count_ids(&mut &*bytes), None, "{bytes:?}");
        }
    }
}
