//! Arbitrary bytes as a change event through the whole transform, with all that is configured.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../transform_check.rs"]
mod transform_check;

fuzz_target!(|input: &[u8]| transform_check::check(input));
