//! JSON values, taken apart so strictly that nothing is overlooked.

use super::super::DecodeError;
use serde_json::{Map, Value};

/// A part that is read, or what is wrong with it.
pub(super) type Read<T> = Result<T, Wrong>;

/// What is not understood, and why.
#[derive(Debug)]
pub(super) struct Wrong {
    text: String,
    reason: String,
}

impl Wrong {
    pub(super) fn new(text: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { text: text.into(), reason: reason.into() }
    }

    /// The error about an object.
    pub(super) fn about(self, object: &str) -> DecodeError {
        DecodeError::new(0, format!("{object}: {}", self.text), self.reason)
    }
}

pub(super) fn wrong(value: &Value, reason: impl Into<String>) -> Wrong {
    Wrong::new(shown(value), reason)
}

/// The beginning of a value, as it is written.
pub(super) fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let end = text.char_indices().nth(80).map_or(text.len(), |(index, _)| index);
    text.get(..end).unwrap_or_default().to_owned()
}

/// The key and the value of an object that has one.
pub(super) fn only(value: &Value) -> Read<(&str, &Value)> {
    let mut entries = value.as_object().into_iter().flatten();
    match (entries.next(), entries.next()) {
        (Some((key, value)), None) => Ok((key, value)),
        _ => Err(wrong(value, "expected an object with one key")),
    }
}

/// The object, if it has none but these keys.
pub(super) fn fields<'v>(map: &'v Map<String, Value>, keys: &[&str]) -> Read<&'v Map<String, Value>> {
    match map.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(Wrong::new(key, "this property is not understood")),
        None => Ok(map),
    }
}

/// The value as an object that has none but these keys.
pub(super) fn object<'v>(value: &'v Value, keys: &[&str]) -> Read<&'v Map<String, Value>> {
    fields(value.as_object().ok_or_else(|| wrong(value, "expected an object"))?, keys)
}

/// A property that is a text.
pub(super) fn text<'v>(map: &'v Map<String, Value>, key: &str) -> Read<&'v str> {
    map.get(key).and_then(Value::as_str).ok_or_else(|| Wrong::new(key, "this property is missing or no text"))
}

/// The items of an array, or the value itself where it is none.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}
