//! A `google.pubsub.v1.PubsubMessage`, written in protobuf as it goes over the wire.
//!
//! The JSON is written straight into the message: its length, which comes before it, is put into a
//! gap once it is known. Tags from `google/pubsub/v1/pubsub.proto`: data = 1, attributes = 2 (a map:
//! key = 1, value = 2), `ordering_key` = 5.

use std::convert::Infallible;

use bytes::BufMut as _;
use prost::encoding::{encode_varint, encoded_len_varint};

const DATA: u8 = 0x0a;
const ATTRIBUTE: u8 = 0x12;
const MAP_KEY: u8 = 0x0a;
const MAP_VALUE: u8 = 0x12;
const ORDERING_KEY: u8 = 0x2a;

/// Room for the tag of `data` and the longest length that a u32 takes.
const GAP: usize = 6;

/// Bytes that attributes and ordering key usually take.
const USUAL_OVERHEAD: usize = 320;

/// Writes messages one after the other: data first, then attributes, then the ordering key.
pub(crate) struct MessageWriter {
    buffer: Vec<u8>,
    start: usize,
    /// Where the data ends.
    data_end: usize,
}

impl MessageWriter {
    /// A writer with room for an event of `bson` bytes, whose JSON is about a quarter longer.
    pub fn with_capacity(bson: usize) -> Self {
        let buffer = Vec::with_capacity(GAP + bson + bson / 4 + USUAL_OVERHEAD);
        Self { buffer, start: GAP, data_end: GAP }
    }

    /// Begins a message; the one before is forgotten.
    pub fn begin(&mut self) {
        self.buffer.clear();
        self.buffer.resize(GAP, 0);
        (self.start, self.data_end) = (GAP, GAP);
    }

    /// The data, appended by `write`.
    pub fn data<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        write(&mut self.buffer)?;
        self.data_end = self.buffer.len();
        let len = (self.data_end - GAP) as u64;
        self.start = GAP - 1 - encoded_len_varint(len);
        let mut head = &mut self.buffer[self.start..GAP];
        head.put_u8(DATA);
        encode_varint(len, &mut head);
        Ok(())
    }

    /// One attribute, its value given in parts.
    pub fn attribute(&mut self, key: &str, value: &[&[u8]]) {
        let value_len: usize = value.iter().map(|part| part.len()).sum();
        let entry = 2
            + encoded_len_varint(key.len() as u64)
            + key.len()
            + encoded_len_varint(value_len as u64)
            + value_len;
        self.buffer.push(ATTRIBUTE);
        self.varint(entry);
        self.field(MAP_KEY, &[key.as_bytes()]);
        self.field(MAP_VALUE, value);
    }

    /// The ordering key, given in parts.
    pub fn ordering_key(&mut self, key: &[&str]) {
        let mut parts: [&[u8]; 2] = [&[]; 2];
        for (part, text) in parts.iter_mut().zip(key) {
            *part = text.as_bytes();
        }
        self.field(ORDERING_KEY, &parts);
    }

    /// The data.
    pub fn payload(&self) -> &[u8] {
        &self.buffer[GAP..self.data_end]
    }

    /// Puts other data in place of the data; all else stays.
    pub fn replace_data(&mut self, data: &[u8]) {
        let rest = self.buffer.split_off(self.data_end);
        self.begin();
        let Ok(()) = self.data::<Infallible>(|buffer| {
            buffer.extend_from_slice(data);
            Ok(())
        });
        self.buffer.extend_from_slice(&rest);
    }

    /// The message so far.
    pub fn message(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn field(&mut self, tag: u8, parts: &[&[u8]]) {
        self.buffer.push(tag);
        self.varint(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
    }

    fn varint(&mut self, value: usize) {
        encode_varint(value as u64, &mut self.buffer);
    }
}
