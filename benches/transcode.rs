//! The transcoder on a change event of an order: about 1 KB of document, 1.3 KB of event.

use std::hint::black_box;
use std::str::FromStr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mongo_gcp_stream::config::JsonMode;
use mongo_gcp_stream::format::json::write_document;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Decimal128, Document, Timestamp, doc};

const PLACED_AT_MS: i64 = 1_795_366_985_417;

fn id(number: u8) -> ObjectId {
    ObjectId::from_bytes([0x65, 0xf1, 0xa0, 0xc4, 0xe1, 0xb2, 0xa3, 0xf4, 0, 0, 0, number])
}

fn amount(text: &str) -> Bson {
    Bson::Decimal128(Decimal128::from_str(text).expect("a decimal"))
}

fn item(number: u8, name: &str, price: &str, discount: f64) -> Document {
    doc! {
        "sku": format!("SKU-{}", 10_432 + u32::from(number)),
        "name": name,
        "quantity": i32::from(number),
        "unit_price": amount(price),
        "product_id": id(number),
        "discount": discount,
    }
}

fn order() -> Document {
    let placed = DateTime::from_millis(PLACED_AT_MS);
    doc! {
        "_id": id(200),
        "order_number": "ORD-2026-0004711",
        "status": "paid",
        "created_at": placed,
        "updated_at": DateTime::from_millis(PLACED_AT_MS + 583),
        "customer": {
            "customer_id": id(77),
            "name": "Jörg Weber",
            "email": "joerg.weber@example.com",
            "address": {
                "street": "Hauptstraße 12",
                "city": "Hamburg",
                "postal_code": "20095",
                "country": "DE",
            },
        },
        "items": [
            item(1, "Ceramic mug, 350 ml", "12.90", 0.0),
            item(2, "Filter paper, 100 sheets", "4.35", 0.05),
            item(3, "Coffee beans, 1 kg", "23.50", 0.1),
            item(4, "Kettle \"Gooseneck\"", "89.00", 0.0),
            item(5, "Scale, 0.1 g", "34.99", 0.15),
        ],
        "total": amount("164.74"),
        "currency": "EUR",
        "tax_rate": 0.19,
        "loyalty_points": 164_i64,
        "gift": false,
        "note": Bson::Null,
    }
}

fn change_event() -> Vec<u8> {
    let event = doc! {
        "_id": { "_data": "826741B0C4000000012B042C0100296E5A1004F3A1B2C3D4E5F60718293A4B5C6D7E8F46645F6964006465F1A0C4E1B2A3F4000003E7000004" },
        "operationType": "insert",
        "clusterTime": Timestamp { time: 1_795_366_985, increment: 1 },
        "wallTime": DateTime::from_millis(PLACED_AT_MS),
        "fullDocument": order(),
        "ns": { "db": "shop", "coll": "orders" },
        "documentKey": { "_id": id(200) },
    };
    event.to_vec().expect("a document")
}

fn transcode(criterion: &mut Criterion) {
    let event = change_event();
    let mut group = criterion.benchmark_group("transcode");
    group.throughput(Throughput::Bytes(event.len() as u64));
    for (name, mode) in [("relaxed", JsonMode::Relaxed), ("canonical", JsonMode::Canonical)] {
        let mut json = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                json.clear();
                write_document(black_box(&event), mode, &mut json).expect("valid BSON");
                black_box(json.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, transcode);
criterion_main!(benches);
