//! Tokens recorded from MongoDB 6.0.5.

#![expect(clippy::format_collect, reason = "the digits of a few bytes")]

use proptest::prelude::*;

use super::index_in_cluster_time;

/// What follows the index in a token: the collection's UUID and the document's key.
const REST: &str = "6E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002B020004";

/// Events of their own, of three inserts of one command, and of documents as large as make the
/// transaction take more than one entry of the oplog: all are the first of their cluster time.
const ALONE: [&str; 5] = [
    "826B03969A000000142B022C0100296E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002B020004",
    "826B03969A000000162B022C0100296E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002B020004",
    "826B03969D000000022B022C0100296E5A1004ABA557FD43DE4B7CB30ADE95F18CD2EC461E5F6964002BCA0004",
    "826B03969D000000042B022C0100296E5A1004ABA557FD43DE4B7CB30ADE95F18CD2EC04",
    "826B03969D000000092B022C0100296E04",
];

/// The invalidate that follows a drop: of the same number, and no event of a document.
const INVALIDATE: &str = "826B03969A000001452B022C0100296F5A1004E9AACE0025F44B0DBFFFF7DC340FA87304";

/// Events of one transaction of 302, by their index.
const TRANSACTION: [(u32, &str); 10] = [
    (
        0,
        "826B03969A000000172B022C0100296E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002B140004",
    ),
    (
        1,
        "826B03969A000000172B022C01002B026E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002B160004",
    ),
    (
        63,
        "826B03969A000000172B022C01002B7E6E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002B920004",
    ),
    (
        64,
        "826B03969A000000172B022C01002B806E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002B940004",
    ),
    (
        65,
        "826B03969A000000172B022C01002B826E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002B960004",
    ),
    (
        127,
        "826B03969A000000172B022C01002BFE6E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002C01120004",
    ),
    (
        128,
        "826B03969A000000172B022C01002C01006E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002C01140004",
    ),
    (
        129,
        "826B03969A000000172B022C01002C01026E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002C01160004",
    ),
    (
        300,
        "826B03969A000000172B022C01002C02586E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002C026C0004",
    ),
    (
        301,
        "826B03969A000000172B022C01002C025A6E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002C026E0004",
    ),
];

/// Events of one transaction of 30 MB, which takes several entries of the oplog.
const LARGE_TRANSACTION: [&str; 5] = [
    "826B03969C000000032B022C0100296E5A1004ABA557FD43DE4B7CB30ADE95F18CD2EC461E5F696400290004",
    "826B03969C000000032B022C01002B026E5A1004ABA557FD43DE4B7CB30ADE95F18CD2EC461E5F6964002B020004",
    "826B03969C000000032B022C01002B046E5A1004ABA557FD43DE4B7CB30ADE95F18CD2EC461E5F6964002B040004",
    "826B03969C000000032B022C01002B066E5A1004ABA557FD43DE4B7CB30ADE95F18CD2EC461E5F6964002B060004",
    "826B03969C000000032B022C01002B086E5A1004ABA557FD43DE4B7CB30ADE95F18CD2EC461E5F6964002B080004",
];

fn index(token: &str) -> Option<u32> {
    index_in_cluster_time(token.as_bytes())
}

#[test]
fn recorded_tokens_tell_their_index() {
    assert!(ALONE.iter().all(|token| index(token) == Some(0)));
    assert_eq!(index(INVALIDATE), Some(0));
    for (expected, token) in TRANSACTION {
        assert_eq!(index(token), Some(expected));
    }
    assert_eq!(LARGE_TRANSACTION.map(index), [0, 1, 2, 3, 4].map(Some));
}

#[test]
fn a_layout_that_is_not_known_has_no_index() {
    let of = |head: &str| index(&format!("{head}{REST}"));
    assert_eq!(of("826B03969A000000172B022C01002B02"), Some(1));
    assert_eq!(of("826B03969A000000172B042C01002B02"), Some(1), "version 2");
    for (head, why) in [
        ("", "no time"),
        ("816B03969A000000172B022C010029", "another type of time"),
        ("826B03969A0000001z2B022C010029", "no hex"),
        ("826B03969A00000017292C010029", "version 0"),
        ("826B03969A000000172B062C010029", "version 3"),
        ("826B03969A000000172B022929", "the token of a moment"),
        ("826B03969A000000172B022C01002B03", "a fraction"),
        ("826B03969A000000172B022C010028", "a negative number"),
        ("826B03969A000000172B022C01002F0200000000", "more than 32 bits"),
        ("826B03969A000000172B022C01002B02FF", "something else after it"),
    ] {
        assert_eq!(of(head), None, "{why}");
    }
    assert_eq!(index("826B03969A000000172B022C0100296"), None, "cut off");
}

proptest! {
    /// As KeyString writes numbers, so they are read.
    #[test]
    fn every_index_is_read_back(expected in 1..=u32::MAX) {
        let shifted = (u64::from(expected) << 1).to_be_bytes();
        let bytes: Vec<u8> = shifted.into_iter().skip_while(|&byte| byte == 0).collect();
        let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let head = format!("826B03969A000000172B022C0100{:02X}{digits}", 0x2a + bytes.len());
        prop_assert_eq!(index(&format!("{head}{REST}")), Some(expected));
    }

    #[test]
    fn nothing_panics(data: Vec<u8>, cut in 0..90_usize) {
        index_in_cluster_time(&data);
        let recorded = TRANSACTION[9].1.as_bytes();
        index_in_cluster_time(&recorded[..cut]);
    }
}
