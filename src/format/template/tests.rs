#![expect(clippy::needless_pass_by_value, reason = "a literal is handed over")]

use mongodb::bson::{DateTime, Document, doc, oid::ObjectId};
use serde_json::json;

use super::*;
use crate::config::{Environment, from_value};

fn stream(source: serde_json::Value) -> StreamConfig {
    let uri = "mongodb://localhost";
    let tree = json!({"mongodb": {"connections": {"main": {
        "uri": uri, "database": "shop", "sources": {"orders": source},
    }}}});
    from_value(tree, &Environment::new()).unwrap().config.streams().unwrap().remove(0)
}

fn written(template: &str, source: serde_json::Value, event: &Document) -> Result<String, Missing> {
    let template = Template::parse(template).unwrap();
    let bytes = event.to_vec().unwrap();
    let mut text = String::new();
    let change = ChangeEvent::look_at(&bytes).unwrap();
    TemplateWriter::compile(&template, &stream(source)).write(&change, &mut text)?;
    Ok(text)
}

fn of(template: &str, event: &Document) -> Result<String, Missing> {
    written(template, json!({}), event)
}

fn event() -> Document {
    doc! {
        "operationType": "insert",
        "ns": {"db": "shop", "coll": "orders"},
        "documentKey": {"_id": 5},
        "fullDocument": {"_id": 5, "customer": {"id": "c7"}, "none": null, "list": [1]},
    }
}

#[test]
fn fields_of_the_event_stand_in_the_text() {
    let template = "{connection_id}/{source_name}: {database}.{collection} {operation}";
    assert_eq!(of(template, &event()).unwrap(), "main/orders: shop.orders insert");
    assert_eq!(of("{field:customer.id}-{field:list.0}", &event()).unwrap(), "c7-1");
}

#[test]
fn each_scalar_has_a_text() {
    let decimal: mongodb::bson::Decimal128 = "1.20".parse().unwrap();
    let id = ObjectId::parse_str("65f1c2a0b1c2d3e4f5a6b7c8").unwrap();
    let values = doc! {
        "endless": f64::NEG_INFINITY, "text": "x", "yes": true, "int": -3, "long": 1_i64 << 40, "double": 0.5, "decimal": decimal,
        "id": id, "date": DateTime::from_millis(1_769_817_600_250),
        "second": DateTime::from_millis(1_769_817_600_000), "early": DateTime::from_millis(i64::MIN),
    };
    let event = doc! {"fullDocument": values};
    for (name, text) in [
        ("text", "x"),
        ("endless", "-Infinity"),
        ("yes", "true"),
        ("int", "-3"),
        ("long", "1099511627776"),
        ("double", "0.5"),
        ("decimal", "1.20"),
        ("id", "65f1c2a0b1c2d3e4f5a6b7c8"),
        ("date", "2026-01-31T00:00:00.250Z"),
        ("second", "2026-01-31T00:00:00Z"),
        ("early", "-9223372036854775808"),
    ] {
        assert_eq!(of(&format!("{{field:{name}}}"), &event).unwrap(), text);
    }
}

#[test]
fn what_is_missing_has_its_own_text_or_is_told() {
    for name in ["x", "none", "list", "customer", "customer.x"] {
        let missing = of(&format!("{{field:{name}}}"), &event()).unwrap_err();
        assert_eq!(missing.to_string(), format!("{{field:{name}}}"));
        assert_eq!(of(&format!("a{{field:{name}|b}}c"), &event()).unwrap(), "abc");
    }
}

#[test]
fn a_delete_has_its_before_image_or_its_key() {
    let mut delete = event();
    delete.remove("fullDocument");
    assert_eq!(of("{field:_id}", &delete).unwrap(), "5");
    assert!(of("{field:customer.id}", &delete).is_err());
    delete.insert("fullDocumentBeforeChange", doc! {"customer": {"id": "c8"}});
    assert_eq!(of("{field:customer.id}", &delete).unwrap(), "c8");
}

#[test]
fn the_namespace_of_an_invalidate_is_that_of_the_stream() {
    let invalidate = doc! {"operationType": "invalidate"};
    let collection = json!({"collection": "orders"});
    let template = "{database}.{collection}";
    assert_eq!(written(template, collection, &invalidate).unwrap(), "shop.orders");
    assert_eq!(of(template, &invalidate).unwrap_err().to_string(), "{collection}");
    assert_eq!(of("{database}.{collection|all}", &invalidate).unwrap(), "shop.all");
}
