//! Large strings and binaries, cut in the event's BSON until its message fits.

use std::cmp::Reverse;

use crate::config::OversizeConfig;
use crate::error::RecordErrorKind;
use crate::event::ChangeEvent;
use crate::event::bson_type::{ARRAY, BINARY, DOCUMENT, STRING};
use crate::event::elements::{Element, Elements};
use crate::format::{MessageWriter, Record, Refusal, Written};
use crate::limits::MAX_ATTRIBUTE_VALUE;

const ATTRIBUTE: &str = "truncated_fields";

/// Where large values are looked for, as paths of the event.
const IMAGES: [&str; 2] = ["fullDocument", "fullDocumentBeforeChange"];
const DELTA: &str = "updateDescription.updatedFields";

/// Bytes before the text of a string, and the zero after it.
const STRING_FRAME: usize = 5;
/// Bytes before the content of a binary: length and subtype.
const BINARY_FRAME: usize = 5;
/// A binary whose content begins with its length once more.
const SUBTYPE_OLD: u8 = 2;

/// What is cut, and what is not.
#[derive(Debug)]
pub(super) struct Truncation {
    to: usize,
    keep: Vec<String>,
}

/// A value that can be cut.
struct Leaf {
    /// Where in the event the value begins.
    at: usize,
    /// Bytes of the message that cutting it saves, at least.
    saves: usize,
    path: String,
}

impl Truncation {
    pub fn compile(config: &OversizeConfig) -> Self {
        let to = usize::try_from(config.truncate_to.bytes()).unwrap_or(usize::MAX);
        Self { to, keep: config.keep_fields.clone() }
    }

    /// Cuts the largest values of `record` until its message is at most `limit` long. False where
    /// that is not enough.
    pub fn apply(
        &self,
        record: &Record<'_>,
        message: &mut MessageWriter,
        limit: usize,
        write: impl Fn(&Record<'_>, &mut MessageWriter) -> Result<Written, Refusal>,
    ) -> Result<bool, Refusal> {
        let event = record.change.bson;
        let mut leaves = self.leaves(event);
        leaves.sort_by_key(|leaf| Reverse(leaf.saves));
        let mut cut = 0;
        loop {
            // The attribute that tells of it takes room, too.
            let excess = message.message().len().saturating_sub(limit) + MAX_ATTRIBUTE_VALUE + 32;
            let next = enough(&leaves, cut, excess);
            if next == cut {
                return Ok(false);
            }
            cut = next;
            let bson = self.without(event, &leaves[..cut]);
            let change = ChangeEvent::look_at(&bson)
                .map_err(|error| (RecordErrorKind::Decode, error.message))?;
            write(&Record { change, ..*record }, message)?;
            message.attribute(ATTRIBUTE, &[told(&leaves[..cut]).as_bytes()]);
            if message.message().len() <= limit {
                return Ok(true);
            }
        }
    }

    /// All values of the event that can be cut.
    fn leaves(&self, event: &[u8]) -> Vec<Leaf> {
        let mut found = Finder { event, truncation: self, leaves: Vec::new() };
        let field = |name: &str| Elements::of(event)?.find(name.as_bytes())?.document();
        for image in IMAGES {
            if let Some(document) = field(image) {
                found.look_into(document, image, "", true);
            }
        }
        let delta = field("updateDescription");
        let delta = delta.and_then(|delta| Elements::of(delta)?.find(b"updatedFields")?.document());
        if let Some(delta) = delta {
            found.look_into(delta, DELTA, "", false);
        }
        found.leaves
    }

    /// The event with these values cut.
    fn without(&self, event: &[u8], leaves: &[Leaf]) -> Vec<u8> {
        let mut cuts: Vec<usize> = leaves.iter().map(|leaf| leaf.at).collect();
        cuts.sort_unstable();
        let mut out = Vec::with_capacity(event.len());
        self.copy(event, 0, &cuts, &mut out);
        out
    }

    /// Copies a document that begins at `base` of the event, without what `cuts` name.
    fn copy(&self, document: &[u8], base: usize, cuts: &[usize], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; size_of::<i32>()]);
        for element in Elements::of(document).into_iter().flatten().flatten() {
            let at = base + offset(document, element.value);
            let from = cuts.partition_point(|cut| *cut < at);
            let until = cuts.partition_point(|cut| *cut < at + element.value.len());
            if from == until {
                out.extend_from_slice(element.whole);
                continue;
            }
            out.push(element.kind);
            out.extend_from_slice(element.name);
            out.push(0);
            match element.kind {
                STRING => self.copy_string(&element, out),
                BINARY => empty_binary(&element, out),
                _ => self.copy(element.value, at, &cuts[from..until], out),
            }
        }
        out.push(0);
        let length = length(out.len() - start);
        out[start..start + length.len()].copy_from_slice(&length);
    }

    fn copy_string(&self, element: &Element<'_>, out: &mut Vec<u8>) {
        let text = element.string().unwrap_or_default();
        let mut end = self.to.min(text.len());
        // Back to where a character begins.
        while end > 0 && text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end -= 1;
        }
        out.extend(length(end + 1));
        out.extend_from_slice(&text[..end]);
        out.push(0);
    }
}

/// Goes through a document for values that can be cut.
struct Finder<'a> {
    event: &'a [u8],
    truncation: &'a Truncation,
    leaves: Vec<Leaf>,
}

impl Finder<'_> {
    /// `root` and `path` lead to `document`; `top` where its `_id` is the document's.
    fn look_into(&mut self, document: &[u8], root: &str, path: &str, top: bool) {
        for element in Elements::of(document).into_iter().flatten().flatten() {
            // What is smaller holds nothing to cut.
            if element.value.len() <= self.truncation.to || (top && element.name == b"_id") {
                continue;
            }
            let name = String::from_utf8_lossy(element.name);
            let below = if path.is_empty() { name.into_owned() } else { format!("{path}.{name}") };
            match element.kind {
                DOCUMENT => self.look_into(element.value, root, &below, false),
                ARRAY => self.look_into_array(element.value, root, &below),
                _ => self.consider(&element, root, &below),
            }
        }
    }

    /// The items of an array share its path.
    fn look_into_array(&mut self, array: &[u8], root: &str, path: &str) {
        for element in Elements::of(array).into_iter().flatten().flatten() {
            match element.kind {
                DOCUMENT => self.look_into(element.value, root, path, false),
                ARRAY => self.look_into_array(element.value, root, path),
                _ => self.consider(&element, root, path),
            }
        }
    }

    fn consider(&mut self, element: &Element<'_>, root: &str, path: &str) {
        let to = self.truncation.to;
        let saves = match element.kind {
            STRING => element.value.len().saturating_sub(STRING_FRAME + to),
            // In base64.
            BINARY if element.value.len() > BINARY_FRAME + to => element.value.len() / 3 * 4,
            _ => 0,
        };
        if saves > 0 && !self.is_kept(path) {
            let at = offset(self.event, element.value);
            self.leaves.push(Leaf { at, saves, path: format!("{root}.{path}") });
        }
    }

    fn is_kept(&self, path: &str) -> bool {
        // The keys of `updatedFields` name the items of arrays.
        let names = path.split('.').filter(|name| !name.bytes().all(|byte| byte.is_ascii_digit()));
        let path: Vec<&str> = names.collect();
        self.truncation.keep.iter().any(|kept| {
            let mut names = path.iter();
            kept.split('.').all(|name| names.next() == Some(&name))
        })
    }
}

/// How many of `leaves` to cut so that `excess` bytes are saved, `cut` of them having been cut
/// already: at least twice as many each time, since a value need not be in the message at all.
fn enough(leaves: &[Leaf], cut: usize, excess: usize) -> usize {
    let mut saved = 0;
    let wanted = leaves[cut..].iter().take_while(|leaf| {
        let more = saved < excess;
        saved += leaf.saves;
        more
    });
    (cut + wanted.count()).max(cut * 2).min(leaves.len())
}

/// The paths of these values, each once, as far as an attribute holds them; `…` for the rest.
fn told(leaves: &[Leaf]) -> String {
    const REST: &str = "…";
    let mut text = String::new();
    for (index, leaf) in leaves.iter().enumerate() {
        if leaves[..index].iter().any(|before| before.path == leaf.path) {
            continue;
        }
        let comma = usize::from(!text.is_empty());
        if text.len() + comma + leaf.path.len() + 1 + REST.len() > MAX_ATTRIBUTE_VALUE {
            text.push_str(if text.is_empty() { REST } else { ",…" });
            break;
        }
        if comma == 1 {
            text.push(',');
        }
        text.push_str(&leaf.path);
    }
    text
}

fn empty_binary(element: &Element<'_>, out: &mut Vec<u8>) {
    let subtype = element.value.get(BINARY_FRAME - 1).copied().unwrap_or_default();
    let content: &[u8] = if subtype == SUBTYPE_OLD { &[0; 4] } else { &[] };
    out.extend(length(content.len()));
    out.push(subtype);
    out.extend_from_slice(content);
}

/// What was cut from a document that is a BSON document is not longer than one may be.
fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap_or(i32::MAX).to_le_bytes()
}

/// Where in `outer` its part `inner` begins.
fn offset(outer: &[u8], inner: &[u8]) -> usize {
    inner.as_ptr().addr() - outer.as_ptr().addr()
}
