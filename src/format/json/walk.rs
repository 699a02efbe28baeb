//! The walk over the elements of a document, in one pass.

use crate::event::bson_type::{
    ARRAY, BINARY, BOOLEAN, CODE, CODE_WITH_SCOPE, DATE, DB_POINTER, DECIMAL128, DOCUMENT, DOUBLE,
    INT32, INT64, MAX_KEY, MIN_KEY, NULL, OBJECT_ID, REGEX, STRING, SYMBOL, TIMESTAMP, UNDEFINED,
};
use std::marker::PhantomData;

use super::MAX_DEPTH;
use super::error::{DecodeError, DecodeErrorKind};
use super::notation::{Notation, Wrapper};
use super::text::{open_quoted, write_text};

/// Boxed so that the way without an error stays in registers.
type Step<T> = Result<T, Box<DecodeError>>;

/// Bytes of a document's length, and of a string's.
const LENGTH: usize = 4;

/// A document without elements: its length and the terminating zero.
const EMPTY_DOCUMENT: usize = LENGTH + 1;

/// Writes `bson` to `out`. Every value is written with a comma after it; closing a document
/// overwrites the last one.
///
/// Positions count from the start of `bson`. A `body` is `bson` up to the end of the elements of
/// the document in hand, so that its length bounds every read.
pub(super) struct Walk<'a, N> {
    bson: &'a [u8],
    out: &'a mut Vec<u8>,
    notation: PhantomData<N>,
}

impl<'a, N: Notation> Walk<'a, N> {
    pub(super) fn new(bson: &'a [u8], out: &'a mut Vec<u8>) -> Self {
        Self { bson, out, notation: PhantomData }
    }

    /// The whole of `bson`.
    pub(super) fn document(&mut self) -> Step<()> {
        let end = self.nested::<false>(self.bson, 0, MAX_DEPTH)?;
        if end != self.bson.len() {
            return Err(DecodeError::new(DecodeErrorKind::DocumentLength));
        }
        self.out.pop();
        Ok(())
    }

    /// `bson` as one value of type `kind`, with a comma after it.
    pub(super) fn single(&mut self, kind: u8) -> Step<()> {
        if self.value(kind, self.bson, 0, MAX_DEPTH)? == self.bson.len() {
            return Ok(());
        }
        Err(DecodeError::new(DecodeErrorKind::ValueLength))
    }

    /// A document or array at `at`, with `depth` levels left; returns the position after it.
    fn nested<const IS_ARRAY: bool>(
        &mut self,
        body: &'a [u8],
        at: usize,
        depth: usize,
    ) -> Step<usize> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(DecodeError::new(DecodeErrorKind::Depth));
        };
        let length = read_length(body, at)?;
        let document = body.get(..at + length).filter(|_| length >= EMPTY_DOCUMENT);
        let Some((&last, elements)) = document.and_then(<[u8]>::split_last) else {
            return Err(DecodeError::new(DecodeErrorKind::DocumentLength));
        };
        if last != 0 {
            return Err(DecodeError::new(DecodeErrorKind::DocumentEnd));
        }
        self.out.push(if IS_ARRAY { b'[' } else { b'{' });
        self.elements::<IS_ARRAY>(elements, at + LENGTH, depth)?;
        self.close(if IS_ARRAY { b']' } else { b'}' });
        Ok(at + length)
    }

    fn elements<const IS_ARRAY: bool>(
        &mut self,
        body: &'a [u8],
        mut at: usize,
        depth: usize,
    ) -> Step<()> {
        while let Some(&kind) = body.get(at) {
            let name = at + 1;
            let written = if IS_ARRAY { skip_name(body, name) } else { self.name(body, name) };
            let value = written.map_err(|error| error.inside(name_at(body, name)))?;
            at = self
                .value(kind, body, value, depth)
                .map_err(|error| error.inside(name_at(body, name)))?;
        }
        Ok(())
    }

    /// One value of type `kind`; returns the position after it.
    #[inline]
    fn value(&mut self, kind: u8, body: &'a [u8], at: usize, depth: usize) -> Step<usize> {
        match kind {
            DOUBLE => {
                N::double(f64::from_le_bytes(read(body, at)?), self.out);
                Ok(at + 8)
            }
            STRING => self.string(body, at),
            DOCUMENT => self.nested::<false>(body, at, depth),
            ARRAY => self.nested::<true>(body, at, depth),
            OBJECT_ID => {
                N::object_id(read(body, at)?, self.out);
                Ok(at + 12)
            }
            BOOLEAN => self.boolean(body, at),
            DATE => {
                N::date(i64::from_le_bytes(read(body, at)?), self.out);
                Ok(at + 8)
            }
            NULL => self.constant(b"null,", at),
            INT32 => {
                N::int32(i32::from_le_bytes(read(body, at)?), self.out);
                Ok(at + 4)
            }
            TIMESTAMP => {
                N::timestamp(u64::from_le_bytes(read(body, at)?), self.out);
                Ok(at + 8)
            }
            INT64 => {
                N::int64(i64::from_le_bytes(read(body, at)?), self.out);
                Ok(at + 8)
            }
            DECIMAL128 => {
                N::decimal(u128::from_le_bytes(read(body, at)?), self.out);
                Ok(at + 16)
            }
            _ => self.rare_value(kind, body, at, depth),
        }
    }

    fn rare_value(&mut self, kind: u8, body: &'a [u8], at: usize, depth: usize) -> Step<usize> {
        match kind {
            BINARY => self.binary(body, at),
            UNDEFINED => self.constant(N::UNDEFINED, at),
            REGEX => self.regular_expression(body, at),
            DB_POINTER => self.db_pointer(body, at),
            CODE => self.wrapped_string(N::CODE, body, at),
            SYMBOL => self.wrapped_string(N::SYMBOL, body, at),
            CODE_WITH_SCOPE => self.code_with_scope(body, at, depth),
            MAX_KEY => self.constant(N::MAX_KEY, at),
            MIN_KEY => self.constant(N::MIN_KEY, at),
            _ => Err(DecodeError::new(DecodeErrorKind::Type(kind))),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the arms of `value` are alike")]
    fn constant(&mut self, json: &[u8], at: usize) -> Step<usize> {
        self.out.extend_from_slice(json);
        Ok(at)
    }

    fn boolean(&mut self, body: &[u8], at: usize) -> Step<usize> {
        match read(body, at)? {
            [0] => self.constant(b"false,", at + 1),
            [1] => self.constant(b"true,", at + 1),
            _ => Err(DecodeError::new(DecodeErrorKind::Boolean)),
        }
    }

    /// A field's name and the colon; returns the position of the value.
    #[inline]
    fn name(&mut self, body: &[u8], at: usize) -> Step<usize> {
        let end = self.zero_terminated(body, at)?;
        self.out.extend_from_slice(if N::WITHIN_TEXT { b"\\\":" } else { b"\":" });
        Ok(end)
    }

    /// A quote and the text from `at` as far as it can be copied; returns the position after that.
    #[inline]
    fn open(&mut self, at: usize) -> usize {
        if N::WITHIN_TEXT {
            self.out.push(b'\\');
        }
        open_quoted(self.bson, at, self.out)
    }

    /// A quote and text that ends at the first zero byte; returns the position after that.
    #[inline]
    fn zero_terminated(&mut self, body: &[u8], at: usize) -> Step<usize> {
        let stop = self.open(at);
        match body.get(stop) {
            Some(0) => Ok(stop + 1),
            Some(_) => self.zero_terminated_rest(body, stop),
            None => Err(DecodeError::new(DecodeErrorKind::Truncated)),
        }
    }

    #[cold]
    fn zero_terminated_rest(&mut self, body: &[u8], at: usize) -> Step<usize> {
        let end = skip_name(body, at)?;
        write_text(N::WITHIN_TEXT, &body[at..end - 1], self.out)?;
        Ok(end)
    }

    #[inline]
    fn string(&mut self, body: &[u8], at: usize) -> Step<usize> {
        let end = self.quoted(body, at)?;
        self.out.push(b',');
        Ok(end)
    }

    /// A string in quotes, without a comma after it.
    #[inline]
    fn quoted(&mut self, body: &[u8], at: usize) -> Step<usize> {
        let length = read_length(body, at)?;
        let start = at + LENGTH;
        let Some((&terminator, text)) =
            body.get(start..start + length).and_then(<[u8]>::split_last)
        else {
            return Err(DecodeError::new(DecodeErrorKind::ValueLength));
        };
        if terminator != 0 {
            return Err(DecodeError::new(DecodeErrorKind::StringEnd));
        }
        // Stops at the terminator at the latest.
        let stop = self.open(start) - start;
        if stop < text.len() {
            write_text(N::WITHIN_TEXT, &text[stop..], self.out)?;
        }
        self.out.extend_from_slice(if N::WITHIN_TEXT { b"\\\"" } else { b"\"" });
        Ok(start + length)
    }

    fn wrapped_string(&mut self, [open, close]: Wrapper, body: &[u8], at: usize) -> Step<usize> {
        self.out.extend_from_slice(open);
        let end = self.quoted(body, at)?;
        self.out.extend_from_slice(close);
        Ok(end)
    }

    fn binary(&mut self, body: &[u8], at: usize) -> Step<usize> {
        /// Old binary (subtype 2) repeats its length inside.
        const OLD_BINARY: u8 = 2;
        let length = read_length(body, at)?;
        let [subtype] = read(body, at + LENGTH)?;
        let start = at + LENGTH + 1;
        let Some(mut data) = body.get(start..start + length) else {
            return Err(DecodeError::new(DecodeErrorKind::Truncated));
        };
        if subtype == OLD_BINARY {
            if read_length(data, 0)? + LENGTH != length {
                return Err(DecodeError::new(DecodeErrorKind::ValueLength));
            }
            data = &data[LENGTH..];
        }
        N::binary(subtype, data, self.out);
        Ok(start + length)
    }

    /// "BSON Regular Expression options MUST be in alphabetical order" (Extended JSON, note 2),
    /// which not every writer of BSON heeds.
    fn regular_expression(&mut self, body: &[u8], at: usize) -> Step<usize> {
        let options = skip_name(body, at)?;
        let end = skip_name(body, options)?;
        let mut sorted = body[options..end - 1].to_vec();
        if sorted.is_ascii() {
            sorted.sort_unstable();
        }
        N::regex(&body[at..options - 1], &sorted, self.out)?;
        Ok(end)
    }

    fn db_pointer(&mut self, body: &[u8], at: usize) -> Step<usize> {
        let id = at + LENGTH + read_length(body, at)?;
        let (bson, mut end) = (self.bson, Ok(id));
        let namespace = |out: &mut Vec<u8>| {
            end = Walk::<N>::new(bson, out).quoted(body, at);
            Ok(())
        };
        N::pointer(read(body, id)?, namespace, self.out)?;
        end.map(|id| id + 12)
    }

    fn code_with_scope(&mut self, body: &'a [u8], at: usize, depth: usize) -> Step<usize> {
        let length = read_length(body, at)?;
        let Some(body) = body.get(..at + length) else {
            return Err(DecodeError::new(DecodeErrorKind::Truncated));
        };
        let [open, close] = N::CODE;
        self.out.extend_from_slice(open);
        let scope = self.quoted(body, at + LENGTH)?;
        let written = self.out.len();
        self.out.extend_from_slice(N::SCOPE.map_or(b"", |[open, _]| open));
        let end =
            self.nested::<false>(body, scope, depth).map_err(|error| error.inside(b"$scope"))?;
        if end != body.len() {
            return Err(DecodeError::new(DecodeErrorKind::ValueLength));
        }
        if let Some([_, close]) = N::SCOPE {
            self.out.pop();
            self.out.extend_from_slice(close);
        } else {
            self.out.truncate(written);
            self.out.extend_from_slice(close);
        }
        Ok(end)
    }

    /// Ends a document, an array or a wrapper: the comma after the last value becomes the bracket.
    fn close(&mut self, bracket: u8) {
        match self.out.last_mut() {
            Some(last) if *last == b',' => *last = bracket,
            _ => self.out.push(bracket),
        }
        self.out.push(b',');
    }
}

/// The name at `at`, as far as it goes, for an error's path.
fn name_at(body: &[u8], at: usize) -> &[u8] {
    let rest = body.get(at..).unwrap_or_default();
    rest.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The position after the zero byte that ends the text at `at`.
#[inline]
fn skip_name(body: &[u8], at: usize) -> Step<usize> {
    let length = body.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0));
    match length {
        Some(length) => Ok(at + length + 1),
        None => Err(DecodeError::new(DecodeErrorKind::Truncated)),
    }
}

#[inline]
fn read<const N: usize>(body: &[u8], at: usize) -> Step<[u8; N]> {
    match body.get(at..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => Ok(*bytes),
        None => Err(DecodeError::new(DecodeErrorKind::Truncated)),
    }
}

/// A length that is not negative. It may still reach beyond the document.
#[inline]
fn read_length(body: &[u8], at: usize) -> Step<usize> {
    match usize::try_from(i32::from_le_bytes(read(body, at)?)) {
        Ok(length) => Ok(length),
        Err(_) => Err(DecodeError::new(DecodeErrorKind::ValueLength)),
    }
}
