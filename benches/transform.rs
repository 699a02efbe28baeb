//! The transform on a server's reply of a thousand orders, as it is and with all that is usual: the
//! documents and the configuration of `benches/orders.py` and `benches/readers.py`.

use std::hint::black_box;
use std::ops::Range;
use std::str::FromStr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mongo_gcp_stream::config::{self, Environment};
use mongo_gcp_stream::event::Batch;
use mongo_gcp_stream::transform::{Context, Transform};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Decimal128, Document, Timestamp, doc};

const EVENTS: u16 = 1000;

const FIRST_DAY_MS: i64 = 1_767_225_600_000;

const CONFIG: &str = r"
mongodb:
  connections:
    main:
      uri: mongodb://localhost
      sources:
        orders:
          database: shop
          collection: orders
          SOURCE
gcp: {project_id: shop}
pubsub:
  topics:
    default: {name: orders, bigquery: {dataset: shop, table: orders}}
    north: {name: north, bigquery: {dataset: shop, table: orders}}
checkpoint: {store: memory}
SCHEMAS
";

pub const METADATA: &str = "enrich: {metadata: true}";
pub const MASK: &str = "protect: [{path: customer.email, action: mask}]";
pub const ROUTE: &str =
    "routes: [{topic: north, when: {field: customer.address.country, equals: NO}}]";
pub const BIGQUERY: &str = "envelope: bigquery_cdc";
pub const VALIDATION: &str = "validation: {on_invalid: fail}";

const SCHEMAS: &str = "
schemas:
  main.orders:
    number: {type: number, required: true, min: 0}
    status: {type: string, required: true, enum: [placed, sent]}
    placed_at: {type: date, required: true}
    customer: {type: object, required: true}
    items: {type: array, required: true}
    total: {type: number, required: true, nullable: false}
";

fn id(number: u16) -> ObjectId {
    let [high, low] = number.to_be_bytes();
    ObjectId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low])
}

fn date(day: u16) -> DateTime {
    DateTime::from_millis(FIRST_DAY_MS + i64::from(day) * 86_400_000)
}

fn money(text: &str) -> Bson {
    Bson::Decimal128(Decimal128::from_str(text).expect("a decimal"))
}

fn item(number: u8, title: &str, price: &str) -> Document {
    doc! {
        "sku": format!("SKU-{:06}", 104_320 + u32::from(number)),
        "title": title,
        "quantity": i32::from(number),
        "price": money(price),
    }
}

fn order(number: u16) -> Document {
    doc! {
        "_id": id(number),
        "number": i32::from(number),
        "status": "placed",
        "placed_at": date(number),
        "updated_at": date(number),
        "customer": {
            "_id": id(u16::MAX - number),
            "name": "Margaret Hamilton",
            "email": "margaret.hamilton@example.com",
            "since": date(30),
            "address": {
                "street": "112 Harbour Street",
                "city": "Turin",
                "zip": "20095",
                "country": "IT",
            },
        },
        "items": [
            item(1, "desk lamp, brushed brass, 40 cm", "112.90"),
            item(2, "notebook, dotted, 192 pages", "4.35"),
            item(3, "espresso cup, stoneware", "23.50"),
            item(4, "blanket, merino wool, grey", "89.00"),
            item(5, "wall shelf, oiled oak, 80 cm", "34.99"),
        ],
        "total": money("722.55"),
        "currency": "EUR",
        "paid": true,
        "weight_kg": 12.345,
        "note": "Please ring twice. If nobody answers, leave it with the neighbour on the left.",
    }
}

fn change_event(number: u16) -> Vec<u8> {
    let event = doc! {
        "_id": { "_data": format!("826741B0C40000{number:04X}2B042C0100296E5A1004F3A1B2C3D4E5F60718293A4B5C6D7E8F46645F6964006465F1A0C4E1B2A3F40003{number:04X}000004") },
        "operationType": "insert",
        "clusterTime": Timestamp { time: 1_795_366_985, increment: u32::from(number) },
        "wallTime": date(40),
        "fullDocument": order(number),
        "ns": { "db": "shop", "coll": "orders" },
        "documentKey": { "_id": id(number) },
    };
    event.to_vec().expect("a document")
}

/// A reply with all events.
fn reply() -> Batch {
    let mut reply = Vec::new();
    let append = |number| {
        let start = reply.len();
        reply.extend(change_event(number));
        start..reply.len()
    };
    let events: Vec<Range<usize>> = (0..EVENTS).map(append).collect();
    Batch::new(reply.into(), events, None, true)
}

/// What is done with these lines for the source.
fn transform(source: &[&str]) -> Transform {
    let schemas = if source.contains(&VALIDATION) { SCHEMAS } else { "" };
    let lines = source.join("\n          ");
    let text = CONFIG.replace("SOURCE", &lines).replace("SCHEMAS", schemas);
    let config = config::from_yaml(&text, "bench", &Environment::default()).expect("YAML").config;
    Transform::compile(&config, &config.streams().expect("streams")[0]).expect("a transform")
}

/// All that is usual at once.
pub const USUAL: [&str; 5] = [BIGQUERY, METADATA, MASK, VALIDATION, ROUTE];

fn apply(criterion: &mut Criterion) {
    let batch = reply();
    let context = Context { now_ms: FIRST_DAY_MS, redriven: false };
    let mut group = criterion.benchmark_group("transform");
    group.throughput(Throughput::Elements(u64::from(EVENTS)));
    for (name, source) in [("plain", &[][..]), ("usual", &USUAL)] {
        let transform = transform(source);
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(transform.apply_batch(0, black_box(&batch), &context)));
        });
    }
    group.finish();
}

criterion_group!(benches, apply);
criterion_main!(benches);
