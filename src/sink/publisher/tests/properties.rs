//! Whatever fails and however calls are cut: one receipt a message, and order for each key.

use futures_util::future::join_all;
use proptest::prelude::*;

use super::*;

const KEYS: [&str; 4] = ["", "a", "b", "c"];

#[derive(Clone, Debug)]
struct Trouble {
    lose: bool,
    code: Code,
    nth: u64,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let codes = [Code::Unavailable, Code::Internal, Code::InvalidArgument, Code::Unauthenticated];
    (any::<bool>(), prop::sample::select(codes.to_vec()), 1..12u64)
        .prop_map(|(lose, code, nth)| Trouble { lose, code, nth })
}

/// The keys of the messages of each call.
fn calls() -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::vec(0..KEYS.len(), 1..12), 1..12)
}

async fn check(calls: Vec<Vec<usize>>, troubles: Vec<Trouble>, max_messages: usize) {
    let backoff = BackoffPolicy::new(1.0, Duration::from_millis(2));
    let rules = PublisherRules { max_messages, backoff, slots: 2, ..PublisherRules::default() };
    let scene = Scene::with(rules).await;
    for Trouble { lose, code, nth } in troubles {
        let fault = if lose { Fault::lose_response(code) } else { Fault::status(code) };
        scene.emulator.fault(fault.from_request(nth));
    }
    let mut numbers = 0..;
    let mut sent: Vec<(&str, String)> = Vec::new();
    let mut waits = Vec::new();
    for keys in calls {
        let messages = keys.iter().zip(numbers.by_ref()).map(|(key, number)| {
            sent.push((KEYS[*key], usize::to_string(&number)));
            message(KEYS[*key], number)
        });
        waits.push(scene.publisher.publish(messages.collect(), LONG, false).wait());
    }
    let receipts: Vec<_> = join_all(waits).await.into_iter().flatten().collect();
    scene.publisher.flush().await;
    assert_eq!(receipts.len(), sent.len());
    let arrived = scene.arrived().await;
    for key in KEYS {
        let of_key = sent.iter().zip(&receipts).filter(|((found, _), _)| *found == key);
        let published = of_key.filter(|(_, receipt)| receipt.is_ok());
        let published: Vec<&str> = published.map(|((_, data), _)| data.as_str()).collect();
        let mut found = super::of_key(&arrived, key);
        found.retain(|data| published.contains(data));
        if key.is_empty() {
            found.sort_unstable_by_key(|data| data.parse::<usize>().unwrap());
        }
        assert_eq!(found, published, "key {key:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_message_has_a_receipt_and_every_key_its_order(
        calls in calls(),
        troubles in prop::collection::vec(trouble(), 0..8),
        max_messages in 1..8usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(calls, troubles, max_messages));
    }
}
