//! Writes a `PublishRequest` straight into the gRPC frame, from messages that are encoded already.

use std::marker::PhantomData;
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

/// What is kept of the message ids in a `PublishResponse`.
pub trait MessageIds: Default + Send + Sync + 'static {
    /// Takes the next id, `len` bytes of `buf`; `None` for one that is no text.
    fn take(&mut self, buf: &mut impl Buf, len: usize) -> Option<()>;

    /// Number of ids.
    fn count(&self) -> usize;
}

/// Their number.
impl MessageIds for usize {
    fn take(&mut self, buf: &mut impl Buf, len: usize) -> Option<()> {
        buf.advance(len);
        *self += 1;
        Some(())
    }

    fn count(&self) -> usize {
        *self
    }
}

/// All of them, in the order of the messages.
impl MessageIds for Vec<String> {
    fn take(&mut self, buf: &mut impl Buf, len: usize) -> Option<()> {
        let id = buf.copy_to_bytes(len);
        self.push(String::from_utf8(id.into()).ok()?);
        Some(())
    }

    fn count(&self) -> usize {
        self.len()
    }
}

/// Encodes a [`PublishFrame`] with one copy of each message; decodes a `PublishResponse` to what is
/// kept of its message ids.
#[derive(Debug)]
pub struct PublishCodec<I> {
    frame_len: usize,
    ids: PhantomData<fn() -> I>,
}

impl<I> PublishCodec<I> {
    /// The codec for one request, whose buffer is allocated once, at its size.
    #[must_use]
    pub fn new(frame: &PublishFrame) -> Self {
        Self { frame_len: frame.len(), ids: PhantomData }
    }
}

impl<I: MessageIds> Codec for PublishCodec<I> {
    type Encode = PublishFrame;
    type Decode = I;
    type Encoder = FrameEncoder;
    type Decoder = IdReader<I>;

    fn encoder(&mut self) -> FrameEncoder {
        FrameEncoder { frame_len: self.frame_len }
    }

    fn decoder(&mut self) -> IdReader<I> {
        IdReader(PhantomData)
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
pub struct IdReader<I>(PhantomData<fn() -> I>);

impl<I: MessageIds> Decoder for IdReader<I> {
    type Item = I;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<I>, Status> {
        read_ids(buf).map(Some).ok_or_else(|| Status::internal("not a PublishResponse"))
    }
}

/// The message ids in a `PublishResponse`, which has no other field; `None` for bytes that are not
/// one.
fn read_ids<I: MessageIds>(buf: &mut impl Buf) -> Option<I> {
    let mut ids = I::default();
    while buf.has_remaining() {
        if buf.get_u8() != FIELD_1 {
            return None;
        }
        let len = usize::try_from(decode_varint(buf).ok()?).ok()?;
        if len > buf.remaining() {
            return None;
        }
        ids.take(buf, len)?;
    }
    Some(ids)
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
    fn ids_are_counted_or_kept() {
        for ids in [vec![], vec!["1".to_owned()], vec!["x".repeat(300); 1000]] {
            let response = PublishResponse { message_ids: ids.clone() }.encode_to_vec();
            assert_eq!(read_ids(&mut response.as_slice()), Some(ids.len()));
            assert_eq!(read_ids(&mut response.as_slice()), Some(ids));
        }
    }

    #[test]
    fn bytes_that_are_no_response_have_no_ids() {
        for bytes in [&[0x0a][..], &[0x0a, 5, 1], &[0x12, 0], &[0x0a, 0xff, 0xff]] {
            assert_eq!(read_ids::<usize>(&mut &*bytes), None, "{bytes:?}");
        }
        assert_eq!(read_ids::<Vec<String>>(&mut &[0x0a, 1, 0xff][..]), None);
    }
}
