#![expect(clippy::needless_pass_by_value, reason = "a literal is handed over")]

use mongodb::bson::{Bson, Document, doc};
use proptest::prelude::*;

use super::*;
use crate::config::OrderingField;

fn choice(ordering: Ordering, seed: Option<u64>) -> LaneChoice {
    LaneChoice::compile(&StreamId::new("main", "orders"), &ordering, 64, seed).unwrap()
}

fn by_field(path: &str) -> LaneChoice {
    choice(Ordering::Field(OrderingField(FieldPath::parse(path).unwrap())), None)
}

fn lane(choice: &LaneChoice, event: &Document) -> Lane {
    choice.of(&ChangeEvent::look_at(&event.to_vec().unwrap()).unwrap()).unwrap()
}

fn event(collection: &str, id: i32, document: Document) -> Document {
    doc! {
        "operationType": "insert",
        "ns": {"db": "shop", "coll": collection},
        "documentKey": {"_id": id},
        "fullDocument": document,
    }
}

fn customer(id: impl Into<Bson>) -> Document {
    doc! {"customer": {"id": id.into()}}
}

#[test]
fn the_lane_of_a_field_follows_its_value_only() {
    let choice = by_field("customer.id");
    let orders: Vec<Lane> =
        (0..20).map(|id| lane(&choice, &event("orders", id, customer("c7")))).collect();
    assert!(orders.iter().all(|found| *found == orders[0]));
    assert_eq!(lane(&choice, &event("returns", 1, customer("c7"))), orders[0]);
    let others: Vec<Lane> =
        (0..20).map(|n| lane(&choice, &event("orders", 1, customer(n)))).collect();
    assert!(others.iter().any(|found| *found != others[0]));
}

#[test]
fn the_lanes_of_a_field_are_pinned() {
    let choice = by_field("customer.id");
    let values: [Bson; 4] = [1.into(), 1_i64.into(), "c7".into(), doc! {"a": 1}.into()];
    let lanes = values.map(|value| lane(&choice, &event("orders", 1, customer(value))));
    // Recomputed with the Python packages xxhash and bson: xxh3_64 of type, name and value.
    assert_eq!(lanes, GOLDEN.map(Lane::Key));
}

const GOLDEN: [u64; 4] = [27, 22, 20, 58];

#[test]
fn a_delete_follows_its_before_image_or_its_key() {
    let mut delete = event("orders", 5, customer("c7"));
    let expected = lane(&by_field("customer.id"), &delete);
    let by_id = lane(&by_field("_id"), &event("orders", 5, doc! {"_id": 5}));
    delete.remove("fullDocument");
    delete.insert("operationType", "delete");
    assert_eq!(lane(&by_field("_id"), &delete), by_id);
    assert_eq!(lane(&by_field("customer.id"), &delete), Lane::Barrier);
    delete.insert("fullDocumentBeforeChange", customer("c7"));
    assert_eq!(lane(&by_field("customer.id"), &delete), expected);
}

#[test]
fn a_document_without_the_field_has_its_own_lane() {
    let event = event("orders", 5, doc! {"a": 1});
    assert_eq!(
        lane(&by_field("customer.id"), &event),
        lane(&choice(Ordering::Lanes, None), &event)
    );
}

#[test]
fn a_drop_is_a_barrier() {
    let drop = doc! {"operationType": "drop", "ns": {"db": "shop", "coll": "orders"}};
    assert_eq!(lane(&by_field("customer.id"), &drop), Lane::Barrier);
}

#[test]
fn a_seed_changes_the_lanes_of_documents_and_fields() {
    let document = event("orders", 5, customer("c7"));
    let field = || Ordering::Field(OrderingField(FieldPath::parse("customer.id").unwrap()));
    for ordering in [|| Ordering::Document, field] {
        let lanes = |seed| lane(&choice(ordering(), seed), &document);
        let seeded: Vec<Lane> = (1..20).map(|seed| lanes(Some(seed))).collect();
        assert!(seeded.iter().any(|found| *found != lanes(None)));
        assert_eq!(lanes(Some(7)), lanes(Some(7)));
        assert_eq!(lanes(Some(0)), lanes(None));
    }
}

proptest! {
    /// All events of a document with the same value travel in one lane, whatever else they hold.
    #[test]
    fn equal_values_share_a_lane(value: String, id: i32, other: i32, more: String) {
        let choice = by_field("customer.id");
        let one = event("orders", id, customer(value.as_str()));
        let mut two = event("returns", other, customer(value.as_str()));
        two.get_document_mut("fullDocument").unwrap().insert("more", more);
        prop_assert_eq!(lane(&choice, &one), lane(&choice, &two));
    }
}
