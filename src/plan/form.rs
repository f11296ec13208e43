//! What the keys of a file are: the one table that a reader refuses others with and a JSON Schema is made from.

/// What a key holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text in quotes.
    Text,
    /// A list of texts.
    Texts,
    /// `"400ms"`, `"2m"`.
    Duration,
    /// `"5/s"`.
    Rate,
    /// A number.
    Number,
    /// A whole number.
    Count,
    /// `true` or `false`.
    Flag,
    /// `"25%"` or a number from 0 to 1.
    Share,
    /// A table with these keys.
    Table(&'static [Key]),
    /// `[[name]]`.
    Tables(&'static [Key]),
    /// A table whose keys are the author's.
    Free,
    /// `"never"` or a table with these keys.
    NeverOr(&'static [Key]),
    /// One of these texts.
    OneOf(&'static [&'static str]),
}

/// A key: its name, what it holds, whether it must be there, and one line of explanation.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As in the file.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Without it the table cannot be used.
    pub must: bool,
    /// One line of explanation.
    pub doc: &'static str,
}

/// A key that must be there.
pub const fn must(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        must: true,
        doc,
    }
}

/// A key that may be left out.
pub const fn may(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        must: false,
        doc,
    }
}
