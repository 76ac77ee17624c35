//! Nothing in a file goes unused: what is not known by name is refused.

use serde_json::Value;

use super::file::File;

/// Adds an unknown field to each kind of object in the file, one at a time; none may pass.
pub(crate) fn check(text: &str) {
    let mut file: Value = serde_json::from_str(text).unwrap();
    for section in file.as_object_mut().unwrap().values_mut() {
        if let Value::Array(cases) = section {
            cases.truncate(1);
        }
    }
    let mut pointers = Vec::new();
    objects(&file, String::new(), &mut pointers);
    assert!(serde_json::from_value::<File>(file.clone()).is_ok());
    for pointer in pointers {
        let mut altered = file.clone();
        let object = altered
            .pointer_mut(&pointer)
            .and_then(Value::as_object_mut)
            .unwrap();
        object.insert("unknown".to_owned(), Value::Null);
        assert!(
            serde_json::from_value::<File>(altered).is_err(),
            "an unknown field of {pointer:?} goes unnoticed"
        );
    }
}

/// JSON pointers to the objects in `value`, of lists only in the first element.
fn objects(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, field)| objects(field, format!("{at}/{name}"), found));
            found.push(at);
        }
        Value::Array(elements) => elements
            .iter()
            .take(1)
            .for_each(|element| objects(element, format!("{at}/0"), found)),
        _ => {}
    }
}
