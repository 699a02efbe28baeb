use mongodb::bson::{DateTime, Document, Timestamp, doc};
use serde_json::{Value, json};

use crate::transform::edit::tests::{applied, config, edits, event};

fn full(source: Value, document: Document) -> Document {
    let edits = edits(source, None);
    let out = applied(&edits, &event(doc! {"fullDocument": document})).unwrap();
    out.get_document("fullDocument").unwrap().clone()
}

#[test]
fn metadata_is_that_of_the_original() {
    let out = full(json!({"enrich": {"metadata": true}}), doc! {"a": 1, "_metadata": "old"});
    let metadata = doc! {
        "processed_at": DateTime::from_millis(1_700_000_000_250),
        "source": "mongodb_change_stream",
        "connection_id": "main",
        "source_name": "orders",
        "version": "1.0",
    };
    assert_eq!(out, doc! {"a": 1, "_metadata": metadata});
}

#[test]
fn static_fields_take_the_place_of_fields() {
    let fields =
        json!({"region": "eu", "tier": {"$numberLong": "3"}, "n": null, "l": [1, {"x": 2}]});
    let out = full(json!({"enrich": {"fields": fields}}), doc! {"region": 5, "a": {"region": 1}});
    let expected = doc! {
        "a": {"region": 1}, "region": "eu", "tier": 3_i64, "n": null, "l": [1, {"x": 2}],
    };
    assert_eq!(out, expected);
}

#[test]
fn fields_are_copied_from_the_event() {
    let copy = json!({
        "at": "clusterTime", "coll": "ns.coll", "op": "operationType", "id": "documentKey._id",
        "deep": "fullDocument.a.b", "none": "fullDocument.x.y", "not": "fullDocument.a.b.c",
        "old": "fullDocumentBeforeChange.a",
    });
    let out = full(json!({"enrich": {"copy": copy}}), doc! {"a": {"b": [1, 2]}});
    let expected = doc! {
        "a": {"b": [1, 2]}, "at": Timestamp { time: 1_700_000_000, increment: 7 },
        "coll": "orders", "deep": [1, 2], "id": 1, "op": "update",
    };
    assert_eq!(out, expected);
}

#[test]
fn a_copy_is_protected_like_what_it_is_copied_from() {
    let source = json!({
        "protect": [
            {"path": "a.b", "action": "mask"}, {"path": "c", "action": "mask"},
            {"path": "gone", "action": "remove"},
        ],
        "enrich": {
            "copy": {"x": "fullDocument.a.b", "y": "fullDocument.a", "z": "fullDocument.c.d",
                     "k": "documentKey.c\\.d", "gone2": "fullDocument.gone"},
            "exclude": ["a"],
        },
    });
    let edits = edits(source, Some("a key of at least 16 bytes"));
    let document = doc! {"a": {"b": "12345"}, "c": {"d": "12345"}, "gone": 1};
    let event = event(doc! {"fullDocument": document, "documentKey": {"c.d": "12345", "_id": 1}});
    let out = applied(&edits, &event).unwrap();
    let expected = doc! {"c": "XXXX", "x": "X2345", "y": {"b": "X2345"}};
    assert_eq!(out.get_document("fullDocument").unwrap(), &expected);
}

#[test]
fn only_what_is_included_and_not_excluded_goes_out() {
    let enrich = json!({"include": ["a", "b.c", "l[*].x"], "exclude": ["a.secret", "*.hidden"]});
    let document = doc! {
        "_id": 7, "a": {"secret": 1, "hidden": 2, "open": 3}, "b": {"c": 4, "d": 5},
        "l": [{"x": 1, "y": 2}, 3, {"y": 4}], "z": 6,
    };
    let expected = doc! {"_id": 7, "a": {"open": 3}, "b": {"c": 4}, "l": [{"x": 1}, {}]};
    assert_eq!(full(json!({"enrich": enrich}), document), expected);
    let document = doc! {"b": 1, "l": 2};
    assert_eq!(full(json!({"enrich": {"include": ["b.c"]}}), document), doc! {});
}

#[test]
fn fields_get_new_names_unless_taken() {
    let enrich = json!({"rename": {"a": "b", "l[*].x": "y", "d.e": "f"}});
    let document = doc! {"a": 1, "l": [{"x": 1}, {"x": 2, "y": 3}], "d": {"e": {"e": 1}}};
    let expected = doc! {"b": 1, "l": [{"y": 1}, {"x": 2, "y": 3}], "d": {"f": {"e": 1}}};
    assert_eq!(full(json!({"enrich": enrich}), document), expected);
}

#[test]
fn what_is_excluded_or_renamed_is_so_in_every_part() {
    let enrich = json!({"exclude": ["secret"], "rename": {"a.b": "c"}, "fields": {"new": 1}});
    let edits = edits(json!({"enrich": enrich}), None);
    let document = doc! {"secret": 1, "a": {"b": 2}};
    let delta = doc! {
        "updatedFields": {"secret.x": 1, "a.b": 2, "a.b.c": 3, "z": 1},
        "removedFields": ["secret", "a.b", "secret.y"],
        "truncatedArrays": [{"field": "secret", "newSize": 1}, {"field": "a.b", "newSize": 2}],
        "disambiguatedPaths": {"secret.0": ["secret", "0"], "a.b.0": ["a", "b", "0"], "z.0": ["z", 0]},
    };
    let event = event(doc! {
        "fullDocument": null, "fullDocumentBeforeChange": document, "updateDescription": delta,
        "own": {"secret": 1},
    });
    let out = applied(&edits, &event).unwrap();
    assert_eq!(out.get_document("fullDocumentBeforeChange").unwrap(), &doc! {"a": {"c": 2}});
    let expected = doc! {
        "updatedFields": {"a.c": 2, "a.c.c": 3, "z": 1},
        "removedFields": ["a.c"],
        "truncatedArrays": [{"field": "a.c", "newSize": 2}],
        "disambiguatedPaths": {"z.0": ["z", 0]},
    };
    assert_eq!(out.get_document("updateDescription").unwrap(), &expected);
    assert_eq!(out.get("fullDocument"), Some(&mongodb::bson::Bson::Null));
    // Without `protect`, what a pipeline added goes out.
    assert!(out.contains_key("own"));
}

#[test]
fn a_bad_section_is_refused_with_its_path() {
    let cases = [
        (json!({"include": ["a..b"]}), "include[0]"),
        (json!({"exclude": ["a", "a[0]"]}), "exclude[1]"),
        (json!({"rename": {"a[*]": "b"}}), "rename.a[*]"),
        (json!({"rename": {"a": "b.c"}}), "rename.a"),
        (json!({"fields": {"a.b": 1}}), "fields.a.b"),
        (json!({"fields": {"a": {"$numberLong": "x"}}}), "fields.a"),
        (json!({"copy": {"a": "_id"}}), "copy.a"),
        (json!({"copy": {"a": "fullDocument"}}), "copy.a"),
        (json!({"copy": {"a": "fullDocument.x[*]"}}), "copy.a"),
        (json!({"copy": {"a": "ns.db"}, "fields": {"a": 1}}), "copy.a"),
        (json!({"metadata": true, "fields": {"_metadata": 1}}), "fields._metadata"),
    ];
    for (enrich, key) in cases {
        let error = config(json!({"enrich": enrich}), None).unwrap_err();
        assert_eq!(error.path, format!("mongodb.connections.main.sources.orders.enrich.{key}"));
    }
}
