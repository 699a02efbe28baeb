//! Writes a document anew, what no rule leads to in whole runs of bytes.

use super::Fault;
use super::paths::{Active, Paths};
use crate::event::bson_type::{ARRAY, DOCUMENT};
use crate::event::elements::{Element, Elements};
use crate::transform::protect::Protector;

/// Documents in one another at the most. The server has 100, and some more in an event.
const MAX_DEPTH: usize = 250;

/// Bytes of the length at the beginning of a document.
pub(super) const LENGTH: usize = 4;

pub(super) const DAMAGED: Fault = Fault("a document of the event is not BSON");

/// Writes what the rules leave of an event.
pub(in crate::transform) struct Walk<'a> {
    pub paths: &'a Paths,
    pub protector: &'a Protector,
    pub out: &'a mut Vec<u8>,
    depth: usize,
}

impl<'a> Walk<'a> {
    pub fn new(paths: &'a Paths, protector: &'a Protector, out: &'a mut Vec<u8>) -> Self {
        Self { paths, protector, out, depth: 0 }
    }

    /// Begins a document, and returns where.
    pub fn begin(&mut self) -> Result<usize, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault("documents in the event are nested too deep"));
        }
        self.out.extend_from_slice(&[0; LENGTH]);
        Ok(self.out.len() - LENGTH)
    }

    /// Ends the document that began at `start`.
    pub fn end(&mut self, start: usize) -> Result<(), Fault> {
        self.depth -= 1;
        self.out.push(0);
        let length = i32::try_from(self.out.len() - start)
            .map_err(|_| Fault("the event is larger than BSON can be"))?;
        self.out[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    /// Appends type and name of an element, and returns where.
    pub fn header(&mut self, kind: u8, name: &[u8]) -> usize {
        let start = self.out.len();
        self.out.push(kind);
        self.out.extend_from_slice(name);
        self.out.push(0);
        start
    }

    /// Puts the type of the value, once it is known, into the element that began at `start`, or
    /// takes the element back.
    pub fn settle(&mut self, start: usize, kind: Option<u8>) {
        match kind {
            Some(kind) => self.out[start] = kind,
            None => self.out.truncate(start),
        }
    }

    /// Appends the document `bson`, at `active`; `included` says whether what no rule leads to
    /// goes out.
    pub fn document(&mut self, bson: &[u8], active: Active, included: bool) -> Result<(), Fault> {
        let start = self.begin()?;
        self.fields(bson, active, included, |_| false)?;
        self.end(start)
    }

    /// Appends the fields of `bson` but those that are `replaced`.
    pub fn fields(
        &mut self,
        bson: &[u8],
        active: Active,
        included: bool,
        replaced: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Fault> {
        let (mut copied, mut at) = (LENGTH, LENGTH);
        for element in Elements::of(bson).ok_or(DAMAGED)? {
            let element = element.ok_or(DAMAGED)?;
            let before = at;
            at += element.whole.len();
            let next = self.paths.step(active, element.name);
            let replaced = replaced(element.name);
            if included && next.is_empty() && !replaced {
                continue;
            }
            self.out.extend_from_slice(&bson[copied..before]);
            copied = at;
            if !replaced {
                self.field(bson, &element, next, included)?;
            }
        }
        self.out.extend_from_slice(&bson[copied..at]);
        Ok(())
    }

    fn field(
        &mut self,
        document: &[u8],
        element: &Element<'_>,
        active: Active,
        included: bool,
    ) -> Result<(), Fault> {
        // A field that has the new name keeps it.
        let renamed = self.paths.renamed(active).map(str::as_bytes);
        let free =
            |name: &&[u8]| Elements::of(document).is_some_and(|all| all.find(name).is_none());
        let name = renamed.filter(free).unwrap_or(element.name);
        let start = self.header(element.kind, name);
        let kind = self.value(element.kind, element.value, active, included)?;
        self.settle(start, kind);
        Ok(())
    }

    /// Appends what the rules leave of a value, and returns its type; `None` for nothing.
    pub fn value(
        &mut self,
        kind: u8,
        value: &[u8],
        active: Active,
        included: bool,
    ) -> Result<Option<u8>, Fault> {
        let here = if kind == ARRAY { active } else { self.paths.single(active) };
        let found = self.paths.found(here);
        let included = included || found.included;
        let holds = matches!(kind, DOCUMENT | ARRAY);
        let leads_on = holds && found.holds_included;
        if found.excluded || !(included || leads_on) {
            return Ok(None);
        }
        if let Some(rule) = found.protect {
            return self.protector.write(rule, kind, value, self.out);
        }
        match kind {
            DOCUMENT => self.document(value, here, included)?,
            ARRAY => self.array(value, here, included)?,
            _ => self.out.extend_from_slice(value),
        }
        Ok(Some(kind))
    }

    /// Appends the array `bson`, at `active`, its elements counted anew.
    fn array(&mut self, bson: &[u8], active: Active, included: bool) -> Result<(), Fault> {
        let start = self.begin()?;
        let mut count = 0_usize;
        let mut index = itoa::Buffer::new();
        for element in Elements::of(bson).ok_or(DAMAGED)? {
            let element = element.ok_or(DAMAGED)?;
            let active = self.paths.items(active, element.name);
            let at = self.header(element.kind, index.format(count).as_bytes());
            let kind = self.value(element.kind, element.value, active, included)?;
            self.settle(at, kind);
            count += usize::from(kind.is_some());
        }
        self.end(start)
    }
}
