//! Real servers for the tests, started on loopback and gone with the test process.

// Each test file uses its part of this.
#![allow(dead_code)]

pub mod mongod;
