//! `updateDescription` and `documentKey`, whose fields have names with dots.

use super::Fault;
use super::paths::Found;
use super::walk::{DAMAGED, Walk};
use crate::event::bson_type::{ARRAY, DOCUMENT, INT32, INT64, NULL, STRING};
use crate::event::elements::{Element, Elements};

const STRANGE: Fault = Fault("`updateDescription` has a form that is not known");

/// Writes one entry, and says whether anything is left of it.
type WriteEntry<W> = fn(&mut W, &Element<'_>) -> Result<bool, Fault>;

impl Walk<'_> {
    /// Appends what the rules leave of an `updateDescription`. Parts of it that are not known are
    /// left out.
    pub fn delta(&mut self, description: &[u8]) -> Result<(), Fault> {
        let start = self.begin()?;
        for part in Elements::of(description).ok_or(DAMAGED)? {
            let part = part.ok_or(DAMAGED)?;
            let (expected, write): (u8, WriteEntry<Self>) = match part.name {
                b"updatedFields" => (DOCUMENT, Self::updated_field),
                b"removedFields" => (ARRAY, Self::removed_field),
                b"truncatedArrays" => (ARRAY, Self::truncated_array),
                b"disambiguatedPaths" => (DOCUMENT, Self::disambiguated_path),
                _ => continue,
            };
            if part.kind == NULL {
                self.out.extend_from_slice(part.whole);
            } else if part.kind == expected {
                self.header(part.kind, part.name);
                self.entries(expected, part.value, write)?;
            } else {
                return Err(STRANGE);
            }
        }
        self.end(start)
    }

    /// Appends the entries of a document or an array that `write` leaves; those of an array are
    /// counted anew.
    fn entries(&mut self, kind: u8, entries: &[u8], write: WriteEntry<Self>) -> Result<(), Fault> {
        let start = self.begin()?;
        let mut count = 0_usize;
        let mut index = itoa::Buffer::new();
        for entry in Elements::of(entries).ok_or(DAMAGED)? {
            let mut entry = entry.ok_or(DAMAGED)?;
            if kind == ARRAY {
                entry.name = index.format(count).as_bytes();
            }
            count += usize::from(write(self, &entry)?);
        }
        self.end(start)
    }

    fn updated_field(&mut self, entry: &Element<'_>) -> Result<bool, Fault> {
        let reach = self.paths.reach(entry.name)?;
        if reach.covered {
            return Ok(false);
        }
        let start = self.out.len();
        self.out.push(entry.kind);
        self.paths.write_renamed(entry.name, self.out);
        self.out.push(0);
        let kind = self.value(entry.kind, entry.value, reach.active, reach.included)?;
        self.settle(start, kind);
        Ok(kind.is_some())
    }

    fn removed_field(&mut self, entry: &Element<'_>) -> Result<bool, Fault> {
        let name = entry.string().ok_or(STRANGE)?;
        if self.named(name)?.is_none() {
            return Ok(false);
        }
        self.header(entry.kind, entry.name);
        self.name(name)?;
        Ok(true)
    }

    fn truncated_array(&mut self, entry: &Element<'_>) -> Result<bool, Fault> {
        let fields = entry.document().ok_or(STRANGE)?;
        let field = Elements::of(fields).and_then(|fields| fields.find(b"field"));
        let name = field.and_then(|field| field.string()).ok_or(STRANGE)?;
        let size = Elements::of(fields).and_then(|fields| fields.find(b"newSize"));
        let size = size.filter(|size| matches!(size.kind, INT32 | INT64)).ok_or(STRANGE)?;
        if self.named(name)?.is_none_or(|found| found.protect.is_some()) {
            return Ok(false);
        }
        self.header(entry.kind, entry.name);
        let start = self.begin()?;
        self.header(STRING, b"field");
        self.name(name)?;
        self.out.extend_from_slice(size.whole);
        self.end(start)?;
        Ok(true)
    }

    /// How a name with dots is to be read. One that was renamed is left out: its parts would have
    /// to be told apart to be renamed, too.
    fn disambiguated_path(&mut self, entry: &Element<'_>) -> Result<bool, Fault> {
        let parts = (entry.kind == ARRAY).then_some(entry.value).ok_or(STRANGE)?;
        for part in Elements::of(parts).ok_or(DAMAGED)? {
            let known = matches!(part.ok_or(DAMAGED)?.kind, STRING | INT32 | INT64);
            known.then_some(()).ok_or(STRANGE)?;
        }
        let start = self.out.len();
        self.paths.write_renamed(entry.name, self.out);
        let same = self.out[start..] == *entry.name;
        self.out.truncate(start);
        let kept = same && self.named(entry.name)?.is_some();
        if kept {
            self.out.extend_from_slice(entry.whole);
        }
        Ok(kept)
    }

    /// What is said of the field with this name; `None` where its name does not go out either.
    fn named(&self, name: &[u8]) -> Result<Option<Found>, Fault> {
        let reach = self.paths.reach(name)?;
        let found = self.paths.found(self.paths.single(reach.active));
        let included = reach.included || found.included || found.holds_included;
        Ok((included && !reach.covered && !found.excluded).then_some(found))
    }

    /// Appends a field's name as a string.
    fn name(&mut self, name: &[u8]) -> Result<(), Fault> {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        self.paths.write_renamed(name, self.out);
        self.out.push(0);
        let length = i32::try_from(self.out.len() - start - 4).map_err(|_| STRANGE)?;
        self.out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    /// Appends what the rules leave of a `documentKey`.
    pub fn key(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.entries(DOCUMENT, key, Self::updated_field)
    }
}
