//! What fuzzing has found worth keeping goes through the transform with every run of the tests.

#[path = "../fuzz/transform_check.rs"]
mod transform_check;

#[test]
fn what_is_checked_in_passes() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/seeds/transform");
    let inputs: Vec<Vec<u8>> = std::fs::read_dir(seeds)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(inputs.len() > 100, "{} inputs", inputs.len());
    for input in &inputs {
        transform_check::check(input);
    }
}
