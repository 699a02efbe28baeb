//! The rules of fields at the top of a document, checked in one pass over it.

use super::rule::Rule;
use crate::event::elements::Elements;

/// Most rules of a pass: a bit each.
const MAX_RULES: usize = 64;

/// Whether one pass says that a document keeps all rules: what breaks one is looked at again.
#[derive(Debug)]
pub(super) struct Fields {
    /// The rules of fields that have to be there: bit n stands for that with the index n.
    required: u64,
}

impl Fields {
    /// For `rules`; `None` where one pass does not do for them.
    pub fn of(rules: &[Rule]) -> Option<Self> {
        let flat = rules.len() <= MAX_RULES && rules.iter().all(|rule| rule.field().is_some());
        let bit = |(index, rule): (usize, &Rule)| u64::from(rule.is_required()) << index;
        flat.then(|| Self { required: rules.iter().enumerate().map(bit).sum() })
    }

    /// Whether `document` keeps all of `rules`.
    pub fn keep(&self, rules: &[Rule], document: &[u8]) -> bool {
        let Some(elements) = Elements::of(document) else { return self.required == 0 };
        let mut seen = 0_u64;
        for element in elements.map_while(|element| element) {
            let mut numbered = rules.iter().enumerate();
            let rule = numbered.find(|(_, rule)| rule.field() == Some(element.name));
            let Some((index, rule)) = rule else { continue };
            // Of fields of the same name the first one counts.
            if seen & 1 << index == 0 && rule.check_value(&element).is_err() {
                return false;
            }
            seen |= 1 << index;
        }
        seen & self.required == self.required
    }
}
