//! Arbitrary bytes through the transcoder: it never panics, all modes agree on what is a document,
//! and what it writes is JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

/// Stands for the crate's module, which would bring the whole configuration.
mod config {
    #[derive(Clone, Copy)]
    pub enum JsonMode {
        Relaxed,
        Canonical,
        Simplified,
    }
}

/// Of the crate's module the one that the transcoder reads.
#[path = "../../../src/event"]
mod event {
    pub mod bson_type;
}

#[path = "../../../src/format/json/mod.rs"]
mod json;

use config::JsonMode;

fuzz_target!(|bson: &[u8]| {
    let modes = [JsonMode::Relaxed, JsonMode::Canonical, JsonMode::Simplified];
    let results = modes.map(|mode| {
        let mut out = b"before".to_vec();
        let result = json::write_document(bson, mode, &mut out);
        let written = out.strip_prefix(b"before").expect("what was there is kept");
        match &result {
            Ok(()) => {
                let text = std::str::from_utf8(written).expect("the output is UTF-8");
                serde_json::from_str::<IgnoredAny>(text).expect("the output is JSON");
            }
            Err(error) => {
                assert!(written.is_empty(), "a refused document leaves nothing behind");
                assert!(!error.to_string().is_empty());
            }
        }
        result
    });
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
});
