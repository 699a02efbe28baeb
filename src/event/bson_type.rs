//! BSON's types, by the byte that stands before an element's name.

use mongodb::bson::spec::ElementType;

pub(crate) const DOUBLE: u8 = ElementType::Double as u8;
pub(crate) const STRING: u8 = ElementType::String as u8;
pub(crate) const DOCUMENT: u8 = ElementType::EmbeddedDocument as u8;
pub(crate) const ARRAY: u8 = ElementType::Array as u8;
pub(crate) const BINARY: u8 = ElementType::Binary as u8;
pub(crate) const UNDEFINED: u8 = ElementType::Undefined as u8;
pub(crate) const OBJECT_ID: u8 = ElementType::ObjectId as u8;
pub(crate) const BOOLEAN: u8 = ElementType::Boolean as u8;
pub(crate) const DATE: u8 = ElementType::DateTime as u8;
pub(crate) const NULL: u8 = ElementType::Null as u8;
pub(crate) const REGEX: u8 = ElementType::RegularExpression as u8;
pub(crate) const DB_POINTER: u8 = ElementType::DbPointer as u8;
pub(crate) const CODE: u8 = ElementType::JavaScriptCode as u8;
pub(crate) const SYMBOL: u8 = ElementType::Symbol as u8;
pub(crate) const CODE_WITH_SCOPE: u8 = ElementType::JavaScriptCodeWithScope as u8;
pub(crate) const INT32: u8 = ElementType::Int32 as u8;
pub(crate) const TIMESTAMP: u8 = ElementType::Timestamp as u8;
pub(crate) const INT64: u8 = ElementType::Int64 as u8;
pub(crate) const DECIMAL128: u8 = ElementType::Decimal128 as u8;
pub(crate) const MIN_KEY: u8 = ElementType::MinKey as u8;
pub(crate) const MAX_KEY: u8 = ElementType::MaxKey as u8;
