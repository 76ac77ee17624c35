//! An error as one line of text.

/// An error with its causes, joined by `: `. For texts that leave the process, where the outermost message alone says next to nothing;
/// errors whose `Display` repeats their source would say it twice.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
