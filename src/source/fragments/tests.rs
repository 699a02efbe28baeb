use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use proptest::prelude::*;

use super::*;
use crate::event::Position;

fn token(event: usize, fragment: usize) -> Document {
    doc! { "_data": format!("82{event:08x}000000012B04{fragment:02x}") }
}

/// The event `number` with these fields, as one fragment of `of` each.
fn split(number: usize, parts: &[Document]) -> Vec<Document> {
    let of = parts.len();
    let fragment = |(index, part): (usize, &Document)| {
        let mut fragment = doc! { "_id": token(number, index + 1) };
        if of > 1 {
            let mark = doc! { "fragment": i32::try_from(index + 1).unwrap(),
            "of": i32::try_from(of).unwrap() };
            fragment.insert("splitEvent", mark);
        }
        fragment.extend(part.clone());
        fragment
    };
    parts.iter().enumerate().map(fragment).collect()
}

/// What comes out for `split(number, parts)`.
fn whole(number: usize, parts: &[Document]) -> Document {
    let mut event = doc! { "_id": token(number, parts.len()) };
    for part in parts {
        event.extend(part.clone());
    }
    event
}

fn batch(events: &[Document], post_batch: Option<Position>) -> Batch {
    let (mut reply, mut ranges) = (Vec::new(), Vec::new());
    for event in events {
        let start = reply.len();
        reply.extend(event.to_vec().unwrap());
        ranges.push(start..reply.len());
    }
    Batch::new(reply.into(), ranges, post_batch, true)
}

fn read(batch: &Batch) -> Vec<Document> {
    let read = |event: &[u8]| Document::try_from(RawDocumentBuf::from_bytes(event.into()).unwrap());
    batch.events().map(|event| read(event).unwrap()).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "as a batch has it")]
fn after(event: usize, fragment: usize) -> Option<Position> {
    Some(Position::Token(RawDocumentBuf::try_from(&token(event, fragment)).unwrap()))
}

#[test]
fn fragments_of_a_reply_become_an_event_with_the_last_token() {
    let parts = [doc! { "fullDocument": { "a": 1 } }, doc! { "ns": { "db": "x" } }];
    let mut events = split(1, &[doc! { "n": 1 }]);
    events.extend(split(2, &parts));
    let joined = Fragments::default().join(batch(&events, after(2, 2))).unwrap();
    assert_eq!(read(&joined), [whole(1, &[doc! { "n": 1 }]), whole(2, &parts)]);
    assert_eq!(joined.post_batch, after(2, 2));
    assert!(joined.catching_up);
}

#[test]
fn an_event_that_goes_on_in_the_next_reply_has_no_position_yet() {
    let parts = [doc! { "a": 1 }, doc! { "b": 2 }, doc! { "c": 3 }];
    let fragments = split(1, &parts);
    let mut held = Fragments::default();
    for fragment in &fragments[..2] {
        let joined = held.join(batch(std::slice::from_ref(fragment), after(1, 2))).unwrap();
        assert!(joined.is_empty());
        assert_eq!(joined.post_batch, None);
    }
    // An empty reply in between changes nothing.
    assert_eq!(held.join(batch(&[], after(1, 2))).unwrap().post_batch, None);
    let joined = held.join(batch(&fragments[2..], after(1, 3))).unwrap();
    assert_eq!((read(&joined), joined.post_batch), (vec![whole(1, &parts)], after(1, 3)));
}

#[test]
fn what_does_not_fit_together_is_an_error() {
    let fragments = split(1, &[doc! { "a": 1 }, doc! { "b": 2 }, doc! { "c": 3 }]);
    let others = split(2, &[doc! { "a": 1 }, doc! { "b": 2 }]);
    let event = split(3, &[doc! { "a": 1 }]);
    for wrong in [
        vec![fragments[1].clone()],
        vec![fragments[0].clone(), fragments[2].clone()],
        vec![fragments[0].clone(), others[1].clone()],
        vec![fragments[0].clone(), event[0].clone()],
    ] {
        let error = Fragments::default().join(batch(&wrong, None)).unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Query);
    }
    // What is read again after a failure begins with the first fragment.
    let mut held = Fragments::default();
    held.join(batch(&fragments[..1], None)).unwrap();
    held.clear();
    assert_eq!(held.join(batch(&fragments, None)).unwrap().len(), 1);
}

#[test]
fn a_field_of_that_name_that_is_no_mark_is_left_alone() {
    let event = doc! { "_id": token(1, 1), "fullDocument": { "splitEvent": { "fragment": 1 } },
    "splitEvent": "text" };
    let joined = Fragments::default().join(batch(std::slice::from_ref(&event), None)).unwrap();
    assert_eq!(read(&joined), [event]);
}

fn fields() -> impl Strategy<Value = Document> {
    let value = prop_oneof![
        any::<i32>().prop_map(Bson::Int32),
        "[a-zé]{0,40}".prop_map(Bson::String),
        prop::collection::vec(any::<i64>().prop_map(Bson::Int64), 0..4).prop_map(Bson::Array),
    ];
    let count = 1_usize..8;
    prop::collection::vec(value, count).prop_map(|values| {
        values.into_iter().enumerate().map(|(n, value)| (format!("f{n}"), value)).collect()
    })
}

/// `fields` cut before each field whose number is in `cuts`.
fn cut(fields: &Document, cuts: &[bool]) -> Vec<Document> {
    let mut parts = vec![Document::new()];
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 && cuts[index] {
            parts.push(Document::new());
        }
        parts.last_mut().unwrap().insert(name, value);
    }
    parts
}

proptest! {
    /// However events are split, and wherever the replies end, the same events come out, and no
    /// position lies in one.
    #[test]
    fn any_split_is_joined(
        events in prop::collection::vec((fields(), prop::collection::vec(any::<bool>(), 8)), 1..6),
        ends in prop::collection::vec(any::<bool>(), 48),
    ) {
        let (mut sent, mut expected, mut complete) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (fields, cuts)) in events.iter().enumerate() {
            let parts = cut(fields, cuts);
            expected.push(whole(number, &parts));
            for (index, fragment) in split(number, &parts).into_iter().enumerate() {
                complete.push(index + 1 == parts.len());
                sent.push((fragment, after(number, index + 1)));
            }
        }
        let (mut held, mut seen, mut reply) = (Fragments::default(), Vec::new(), Vec::new());
        for (index, (fragment, position)) in sent.iter().enumerate() {
            reply.push(fragment.clone());
            if !ends[index] && index + 1 < sent.len() {
                continue;
            }
            let joined = held.join(batch(&std::mem::take(&mut reply), position.clone())).unwrap();
            seen.extend(read(&joined));
            prop_assert_eq!(joined.post_batch, position.clone().filter(|_| complete[index]));
        }
        prop_assert_eq!(seen, expected);
    }
}
