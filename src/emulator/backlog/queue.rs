//! Which of a subscription's messages may be delivered next, and to whom.

use std::collections::{BTreeSet, HashMap};

use super::{Consumer, Sequence};

/// Messages by the order in which they came, and for each ordering key how far it has got.
///
/// While messages of a key are out, its next ones go to the same consumer only: only there do they
/// arrive after the earlier ones.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// What any consumer may get: messages without a key, and the next one of each free key.
    ready: BTreeSet<Sequence>,
    /// The next message of each key of which messages are out, by the consumer that has those.
    owned: HashMap<Consumer, BTreeSet<Sequence>>,
    keys: HashMap<String, Key>,
}

/// All sequences that wait are greater than those that are out or acknowledged.
#[derive(Debug, Default)]
struct Key {
    waiting: BTreeSet<Sequence>,
    out: BTreeSet<Sequence>,
    /// Acknowledged before an earlier one that is still out: delivered again if that one is.
    acknowledged: BTreeSet<Sequence>,
    /// Who has those that are out, unless it is gone.
    owner: Option<Consumer>,
    /// Where the first of `waiting` is offered: `ready`, or what the owner may get.
    offered: Option<(Option<Consumer>, Sequence)>,
}

impl Key {
    fn offer(&self) -> Option<(Option<Consumer>, Sequence)> {
        let first = *self.waiting.first()?;
        if self.out.is_empty() {
            return Some((None, first));
        }
        self.owner.map(|owner| (Some(owner), first))
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.out.is_empty() && self.acknowledged.is_empty()
    }
}

impl Queue {
    /// A new message; `key` is `None` where order does not matter.
    pub(super) fn push(&mut self, key: Option<&str>, sequence: Sequence) {
        let Some(name) = key else {
            self.ready.insert(sequence);
            return;
        };
        if !self.keys.contains_key(name) {
            self.keys.insert(name.to_owned(), Key::default());
        }
        self.change(name, |key| key.waiting.insert(sequence));
    }

    /// The first message that this consumer may get.
    pub(super) fn first(&self, consumer: Consumer) -> Option<Sequence> {
        let owned = self.owned.get(&consumer).and_then(BTreeSet::first);
        owned.into_iter().chain(self.ready.first()).min().copied()
    }

    /// What [`Queue::first`] returned is out now.
    pub(super) fn deliver(&mut self, key: Option<&str>, sequence: Sequence, consumer: Consumer) {
        let Some(name) = key else {
            self.ready.remove(&sequence);
            return;
        };
        self.change(name, |key| {
            key.waiting.remove(&sequence);
            key.out.insert(sequence);
            key.owner = Some(consumer);
        });
    }

    /// A message that was out is done with. Returns those that can be forgotten: it and the
    /// acknowledged ones after it, unless an earlier one of its key is still out.
    pub(super) fn acknowledge(&mut self, key: Option<&str>, sequence: Sequence) -> Vec<Sequence> {
        let Some(name) = key else {
            return vec![sequence];
        };
        let done = self.change(name, |key| {
            key.out.remove(&sequence);
            key.acknowledged.insert(sequence);
            let kept = match key.out.first() {
                Some(first) => key.acknowledged.split_off(first),
                None => BTreeSet::new(),
            };
            std::mem::replace(&mut key.acknowledged, kept)
        });
        done.into_iter().flatten().collect()
    }

    /// A message that was out is to be delivered again, and with it all later ones of its key.
    /// Returns those others.
    pub(super) fn rewind(&mut self, key: Option<&str>, sequence: Sequence) -> Vec<Sequence> {
        let Some(name) = key else {
            self.ready.insert(sequence);
            return Vec::new();
        };
        let later = self.change(name, |key| {
            let mut again = key.out.split_off(&sequence);
            again.append(&mut key.acknowledged.split_off(&sequence));
            key.waiting.extend(&again);
            again.remove(&sequence);
            again
        });
        later.into_iter().flatten().collect()
    }

    /// A message that waits is done with.
    pub(super) fn forget(&mut self, key: Option<&str>, sequence: Sequence) {
        match key {
            None => drop(self.ready.remove(&sequence)),
            Some(name) => drop(self.change(name, |key| key.waiting.remove(&sequence))),
        }
    }

    /// The owner of this key gets no more: what waits does so until none of the key is out.
    pub(super) fn disown(&mut self, name: &str) {
        self.change(name, |key| key.owner = None);
    }

    /// This consumer is gone.
    pub(super) fn release(&mut self, consumer: Consumer) {
        self.owned.remove(&consumer);
        for key in self.keys.values_mut().filter(|key| key.owner == Some(consumer)) {
            key.owner = None;
            key.offered = key.offered.filter(|(to, _)| to.is_none());
        }
    }

    /// Changes a key, and then what of it is offered to whom.
    fn change<T>(&mut self, name: &str, change: impl FnOnce(&mut Key) -> T) -> Option<T> {
        let key = self.keys.get_mut(name)?;
        let result = change(key);
        let (before, offer) = (key.offered, key.offer());
        key.offered = offer;
        if key.is_empty() {
            self.keys.remove(name);
        }
        if before != offer {
            self.withdraw(before);
            match offer {
                Some((None, sequence)) => drop(self.ready.insert(sequence)),
                Some((Some(owner), sequence)) => {
                    self.owned.entry(owner).or_default().insert(sequence);
                }
                None => {}
            }
        }
        Some(result)
    }

    fn withdraw(&mut self, offer: Option<(Option<Consumer>, Sequence)>) {
        match offer {
            Some((None, sequence)) => drop(self.ready.remove(&sequence)),
            Some((Some(owner), sequence)) => {
                if let Some(owned) = self.owned.get_mut(&owner) {
                    owned.remove(&sequence);
                    if owned.is_empty() {
                        self.owned.remove(&owner);
                    }
                }
            }
            None => {}
        }
    }
}
