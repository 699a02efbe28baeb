//! The paths of all rules as one tree, and how a document's fields are followed in it.
//!
//! Names step through arrays as they do in MongoDB's queries: `users.email` and `users[*].email`
//! both mean the field in every element. Where a rule could mean a value, it does.

use super::Fault;
use crate::config::field_path::Segment;

/// Nodes of the tree at the most: a set of them is 256 bits.
pub(super) const MAX_NODES: usize = 256;

/// Ways to read the dots of a field's name that are tried at the most.
const MAX_WAYS: u32 = 4096;

/// A set of nodes: where the rules stand that lead to a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::transform) struct Active([u64; MAX_NODES / 64]);

impl Active {
    pub fn is_empty(self) -> bool {
        self.0 == [0; MAX_NODES / 64]
    }

    pub fn with(mut self, other: Self) -> Self {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
        self
    }

    fn insert(&mut self, node: usize) {
        self.0[node / 64] |= 1 << (node % 64);
    }

    fn nodes(mut self) -> impl Iterator<Item = usize> {
        let mut index = 0;
        std::iter::from_fn(move || {
            while *self.0.get(index)? == 0 {
                index += 1;
            }
            let word = &mut self.0[index];
            let bit = word.trailing_zeros() as usize;
            *word &= *word - 1;
            Some(index * 64 + bit)
        })
    }
}

/// What is to be done with a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::transform) struct Found {
    /// The first rule of `protect` that means it.
    pub protect: Option<usize>,
    /// `exclude` means it.
    pub excluded: bool,
    /// `include` means it.
    pub included: bool,
    /// `include` means something in it.
    pub holds_included: bool,
}

/// Where a name with dots leads to.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::transform) struct Reach {
    /// The nodes at the value.
    pub active: Active,
    /// What holds the value is protected or excluded as a whole.
    pub covered: bool,
    /// What holds the value is included as a whole.
    pub included: bool,
    ways: u32,
}

#[derive(Debug, Default)]
struct Node {
    /// The shortest first: most names are told apart by their length.
    names: Vec<(Box<[u8]>, usize)>,
    any: Option<usize>,
    items: Option<usize>,
    found: Found,
    rename: Option<Box<str>>,
}

impl Node {
    /// Where `name` stands in `names`, or where it belongs.
    fn place(&self, name: &[u8]) -> Result<usize, usize> {
        self.names.binary_search_by(|(known, _)| {
            known.len().cmp(&name.len()).then_with(|| (**known).cmp(name))
        })
    }
}

/// The tree.
#[derive(Debug)]
pub(in crate::transform) struct Paths {
    nodes: Vec<Node>,
    /// Some name may hold a dot.
    wide: bool,
    includes: bool,
    renames: bool,
}

impl Paths {
    pub fn new() -> Self {
        Self { nodes: vec![Node::default()], wide: false, includes: false, renames: false }
    }

    pub fn protect(&mut self, path: &[Segment], rule: usize) -> Option<()> {
        let found = &mut self.at(path)?.found;
        found.protect = Some(found.protect.unwrap_or(rule));
        Some(())
    }

    pub fn exclude(&mut self, path: &[Segment]) -> Option<()> {
        self.at(path)?.found.excluded = true;
        Some(())
    }

    pub fn include(&mut self, path: &[Segment]) -> Option<()> {
        for end in 1..path.len() {
            self.at(&path[..end])?.found.holds_included = true;
        }
        self.at(path)?.found.included = true;
        self.includes = true;
        Some(())
    }

    pub fn rename(&mut self, path: &[Segment], name: &str) -> Option<()> {
        self.at(path)?.rename = Some(name.into());
        self.renames = true;
        Some(())
    }

    /// The node at `path`, made where there is none; `None` when there are too many.
    fn at(&mut self, path: &[Segment]) -> Option<&mut Node> {
        let mut at = 0;
        for segment in path {
            let new = self.nodes.len();
            let node = &mut self.nodes[at];
            at = match segment {
                Segment::AnyName => *node.any.get_or_insert(new),
                Segment::Items => *node.items.get_or_insert(new),
                Segment::Name(name) => {
                    let name = name.as_bytes();
                    match node.place(name) {
                        Ok(found) => node.names[found].1,
                        Err(place) => {
                            node.names.insert(place, (name.into(), new));
                            new
                        }
                    }
                }
            };
            self.wide |= match segment {
                Segment::Name(name) => name.contains('.'),
                Segment::AnyName => true,
                Segment::Items => false,
            };
            if at == new {
                self.nodes.push(Node::default());
            }
        }
        (self.nodes.len() <= MAX_NODES).then(|| &mut self.nodes[at])
    }

    /// Where every document begins.
    pub fn root() -> Active {
        let mut root = Active::default();
        root.insert(0);
        root
    }

    /// Where no rule leads to.
    pub fn none() -> Active {
        Active::default()
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// Whether all fields go out that nothing is said of.
    pub fn include_all(&self) -> bool {
        !self.includes
    }

    /// The nodes at the field `name` of a document.
    pub fn step(&self, active: Active, name: &[u8]) -> Active {
        let mut next = Active::default();
        for node in active.nodes().map(|node| &self.nodes[node]) {
            if let Some(any) = node.any {
                next.insert(any);
            }
            if let Ok(found) = node.place(name) {
                next.insert(node.names[found].1);
            }
        }
        next
    }

    /// The nodes at an element of an array, whose name is its place. A rule may give the place,
    /// too, and `*` means every one.
    pub fn items(&self, active: Active, place: &[u8]) -> Active {
        let mut next = self.step(active, place);
        for at in active.nodes() {
            let node = &self.nodes[at];
            if node.any.is_some() || !node.names.is_empty() {
                next.insert(at);
            }
            if let Some(items) = node.items {
                next.insert(items);
            }
        }
        next
    }

    /// The nodes at a value that is no array: it counts as the only element of one.
    pub fn single(&self, active: Active) -> Active {
        let mut all = active;
        for node in active.nodes() {
            let mut at = node;
            while let Some(items) = self.nodes[at].items {
                all.insert(items);
                at = items;
            }
        }
        all
    }

    /// What is to be done with the value at these nodes.
    pub fn found(&self, active: Active) -> Found {
        let mut all = Found::default();
        for found in active.nodes().map(|node| &self.nodes[node].found) {
            all.protect = match (all.protect, found.protect) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            all.excluded |= found.excluded;
            all.included |= found.included;
            all.holds_included |= found.holds_included;
        }
        all
    }

    /// The new name of the field at these nodes.
    pub fn renamed(&self, active: Active) -> Option<&str> {
        if !self.renames {
            return None;
        }
        active.nodes().find_map(|node| self.nodes[node].rename.as_deref())
    }

    /// Where a name with dots leads to, such as `users.0.email`. A dot may be part of a name and a
    /// number the place in an array: whatever it could mean counts.
    pub fn reach(&self, name: &[u8]) -> Result<Reach, Fault> {
        let mut reach = Reach { included: self.include_all(), ..Reach::default() };
        self.follow(name, Self::root(), &mut reach)?;
        Ok(reach)
    }

    fn follow(&self, rest: &[u8], active: Active, reach: &mut Reach) -> Result<(), Fault> {
        reach.ways += 1;
        if reach.ways > MAX_WAYS {
            return Err(Fault("the name of an updated field can be read in too many ways"));
        }
        let single = self.single(active);
        let mut end = 0;
        loop {
            let first = end == 0;
            end += rest[end..].iter().position(|&byte| byte == b'.').unwrap_or(rest.len() - end);
            let name = &rest[..end];
            let mut next = self.step(single, name);
            if first && is_index(name) {
                next = next.with(self.items(active, name));
            }
            if end == rest.len() {
                reach.active = reach.active.with(next);
                return Ok(());
            }
            end += 1;
            if !next.is_empty() {
                self.pass(&rest[end..], next, reach)?;
            }
            if !self.wide {
                return Ok(());
            }
        }
    }

    /// Goes on below the value at `active`, of which only `rest` is meant.
    fn pass(&self, rest: &[u8], active: Active, reach: &mut Reach) -> Result<(), Fault> {
        let name = rest.split(|&byte| byte == b'.').next().unwrap_or_default();
        let here = if is_index(name) { active } else { self.single(active) };
        let found = self.found(here);
        reach.covered |= found.protect.is_some() || found.excluded;
        reach.included |= found.included;
        self.follow(rest, active, reach)
    }

    /// Whether a rule of `protect` is about the value that `names` lead to, what holds it, or what
    /// is in it. For trees of such rules alone.
    pub fn meet<'a>(&self, names: impl Iterator<Item = &'a [u8]>) -> bool {
        let mut active = Self::root();
        for name in names {
            let next = self.step(self.single(active), name);
            active = if is_index(name) { next.with(self.items(active, name)) } else { next };
            if self.found(self.single(active)).protect.is_some() {
                return true;
            }
        }
        !active.is_empty()
    }

    /// Appends `name`, its parts renamed.
    pub fn write_renamed(&self, name: &[u8], out: &mut Vec<u8>) {
        if !self.renames {
            out.extend_from_slice(name);
            return;
        }
        let mut active = Self::root();
        for (index, part) in name.split(|&byte| byte == b'.').enumerate() {
            if index > 0 {
                out.push(b'.');
            }
            let next = self.step(self.single(active), part);
            out.extend_from_slice(self.renamed(next).map_or(part, str::as_bytes));
            active = if is_index(part) { next.with(self.items(active, part)) } else { next };
        }
    }
}

/// Whether a part of a name may be a place in an array.
fn is_index(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests;
