//! From message files to Rust: reads Fluent, compares the languages, writes a method for each message.
//!
//! Run by the build script, so that a view that asks for a message that is not there does not compile, one that
//! nobody asks for is dead code, and at run time a message costs a comparison. Of Fluent it takes texts, `{ $name }`,
//! choices by a number and attributes; whatever else stands in a file is a mistake.

use std::{collections::BTreeMap, fmt::Write as _};

use fluent_syntax::{
    ast::{Entry, Expression, InlineExpression, Pattern, PatternElement, Variant, VariantKey},
    parser,
};

/// A language as the build knows it.
#[derive(Clone, Copy, Debug)]
pub struct Language {
    /// Its file in `assets/messages/`.
    pub file: &'static str,
    /// Its variant of the console's `Language`.
    pub variant: &'static str,
    /// Whether its words differ for one thing: CLDR's category `one`, which is the number 1 where it is true.
    pub one: bool,
}

/// Every language; others are compared with the first.
pub const LANGUAGES: [Language; 2] = [
    Language {
        file: "en.ftl",
        variant: "English",
        one: true,
    },
    Language {
        file: "zh-Hans.ftl",
        variant: "Chinese",
        one: false,
    },
];

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(String),
    Choice {
        number: String,
        cases: Vec<(String, Vec<Self>)>,
        other: Vec<Self>,
    },
}

/// What a message wants to be told: names in order, and whether each is a number that words depend on.
type Wants = Vec<(String, bool)>;

type Messages = BTreeMap<String, Vec<Part>>;

/// The methods of `Say`, or everything that is wrong.
pub fn compile(files: &[(Language, String)]) -> Result<String, Vec<String>> {
    let mut problems = Vec::new();
    let mut all = Vec::new();
    for (language, text) in files {
        all.push((*language, read(*language, text, &mut problems)));
    }
    compare(&all, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut code = String::from("impl Say {\n");
    if let Some((_, first)) = all.first() {
        for key in first.keys() {
            method(&mut code, key, &all);
        }
    }
    code.push_str("}\n");
    Ok(code)
}

fn read(language: Language, text: &str, problems: &mut Vec<String>) -> Messages {
    let mut messages = Messages::new();
    let file = language.file;
    let resource = parser::parse(text).unwrap_or_else(|(resource, errors)| {
        problems.extend(errors.iter().map(|error| {
            let line = 1 + text[..error.pos.start].matches('\n').count();
            format!("{file}:{line}: {error}")
        }));
        resource
    });
    for entry in &resource.body {
        match entry {
            Entry::Message(message) => {
                let id = message.id.name;
                let values = message.value.iter().map(|value| (id.to_owned(), value));
                let attributes = message
                    .attributes
                    .iter()
                    .map(|attribute| (format!("{id}-{}", attribute.id.name), &attribute.value));
                for (key, pattern) in values.chain(attributes) {
                    match parts(language, pattern) {
                        Ok(parts) => {
                            if messages.insert(key.replace('-', "_"), parts).is_some() {
                                problems.push(format!("{file}: {key} stands there twice"));
                            }
                        }
                        Err(problem) => problems.push(format!("{file}: {key}: {problem}")),
                    }
                }
            }
            Entry::Term(term) => problems.push(format!("{file}: -{}: terms are not used here", term.id.name)),
            Entry::Comment(_) | Entry::GroupComment(_) | Entry::ResourceComment(_) | Entry::Junk { .. } => {}
        }
    }
    messages
}

fn parts(language: Language, pattern: &Pattern<&str>) -> Result<Vec<Part>, String> {
    let one = |element: &PatternElement<&str>| match element {
        PatternElement::TextElement { value } => Ok(Part::Text((*value).to_owned())),
        PatternElement::Placeable { expression } => placeable(language, expression),
    };
    pattern.elements.iter().map(one).collect()
}

fn placeable(language: Language, expression: &Expression<&str>) -> Result<Part, String> {
    match expression {
        Expression::Inline(InlineExpression::VariableReference { id }) => Ok(Part::Value(id.name.to_owned())),
        Expression::Inline(InlineExpression::StringLiteral { value }) => Ok(Part::Text((*value).to_owned())),
        Expression::Select {
            selector: InlineExpression::VariableReference { id },
            variants,
        } => choice(language, id.name, variants),
        _ => Err("only texts, { $name } and choices by { $number -> … } are used here".to_owned()),
    }
}

fn choice(language: Language, number: &str, variants: &[Variant<&str>]) -> Result<Part, String> {
    let (mut cases, mut other) = (Vec::new(), None);
    for variant in variants {
        let parts = parts(language, &variant.value)?;
        match variant.key {
            VariantKey::Identifier { name: "other" } if variant.default => other = Some(parts),
            VariantKey::Identifier { name: "one" } if language.one => cases.push(("1".to_owned(), parts)),
            VariantKey::NumberLiteral { value } if value.parse::<usize>().is_ok() && !variant.default => {
                cases.push((value.to_owned(), parts));
            }
            VariantKey::Identifier { name: key } | VariantKey::NumberLiteral { value: key } => {
                return Err(format!("this language has no case [{key}] here"));
            }
        }
    }
    Ok(Part::Choice {
        number: number.to_owned(),
        cases,
        other: other.ok_or("the last case must be *[other]")?,
    })
}

/// What a message wants in one language.
fn wants(parts: &[Part], into: &mut Wants) {
    let mut want = |name: &str, number: bool| match into.iter_mut().find(|(known, _)| known == name) {
        Some((_, is_number)) => *is_number |= number,
        None => into.push((name.to_owned(), number)),
    };
    for part in parts {
        match part {
            Part::Text(_) => {}
            Part::Value(name) => want(name, false),
            Part::Choice { number, .. } => want(number, true),
        }
    }
    for part in parts {
        if let Part::Choice { cases, other, .. } = part {
            for (_, parts) in cases {
                wants(parts, into);
            }
            wants(other, into);
        }
    }
}

fn compare(all: &[(Language, Messages)], problems: &mut Vec<String>) {
    let Some(((first, messages), others)) = all.split_first() else {
        return;
    };
    for key in messages.keys() {
        let valid = key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !valid {
            problems.push(format!("{}: {key} has other than a-z, 0-9 and -", first.file));
        }
    }
    for (language, theirs) in others {
        for (key, parts) in messages {
            let Some(said) = theirs.get(key) else {
                problems.push(format!("{}: {key} is missing", language.file));
                continue;
            };
            let names = |parts: &[Part]| {
                let mut all = Wants::new();
                wants(parts, &mut all);
                let mut names: Vec<String> = all.into_iter().map(|(name, _)| name).collect();
                names.sort_unstable();
                names
            };
            let (ours, theirs) = (names(parts), names(said));
            if ours != theirs {
                problems.push(format!(
                    "{}: {key} has {theirs:?} where {} has {ours:?}",
                    language.file, first.file
                ));
            }
        }
        for key in theirs.keys().filter(|key| !messages.contains_key(*key)) {
            problems.push(format!("{}: {key} is not in {}", language.file, first.file));
        }
    }
}

fn method(code: &mut String, key: &str, all: &[(Language, Messages)]) {
    let mut wanted = Wants::new();
    let said: Vec<(Language, &Vec<Part>)> = all
        .iter()
        .filter_map(|(language, messages)| Some((*language, messages.get(key)?)))
        .collect();
    for (_, parts) in &said {
        wants(parts, &mut wanted);
    }
    let mut parameters = String::new();
    for (name, number) in &wanted {
        let kind = if *number {
            "usize"
        } else {
            "impl std::fmt::Display"
        };
        // Writing to a string does not fail.
        write!(parameters, ", {name}: {kind}").ok();
    }
    let gives = if wanted.is_empty() {
        "&'static str"
    } else {
        "String"
    };
    writeln!(code, "    pub fn {key}(self{parameters}) -> {gives} {{").ok();
    writeln!(code, "        match self.0 {{").ok();
    for (language, parts) in said {
        let words = expression(parts, !wanted.is_empty());
        writeln!(code, "            Language::{} => {words},", language.variant).ok();
    }
    code.push_str("        }\n    }\n");
}

/// The expression that says `parts`.
fn expression(parts: &[Part], owned: bool) -> String {
    let chosen = parts.iter().enumerate().find_map(|(i, part)| match part {
        Part::Choice { number, cases, other } => Some((i, number, cases, other)),
        _ => None,
    });
    if let Some((i, number, cases, other)) = chosen {
        let whole = |middle: &[Part]| {
            let all = [&parts[..i], middle, &parts[i + 1..]].concat();
            expression(&all, owned)
        };
        let mut code = format!("match {number} {{ ");
        for (value, parts) in cases {
            write!(code, "{value} => {}, ", whole(parts)).ok();
        }
        write!(code, "_ => {} }}", whole(other)).ok();
        return code;
    }
    let values = parts.iter().any(|part| matches!(part, Part::Value(_)));
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(words) if values => text.push_str(&words.replace('{', "{{").replace('}', "}}")),
            Part::Text(words) => text.push_str(words),
            Part::Value(name) => write!(text, "{{{name}}}").unwrap_or_default(),
            Part::Choice { .. } => {}
        }
    }
    match (values, owned) {
        (true, _) => format!("format!({text:?})"),
        (false, true) => format!("{text:?}.to_owned()"),
        (false, false) => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(english: &str, chinese: &str) -> Result<String, Vec<String>> {
        let [en, zh] = LANGUAGES;
        compile(&[(en, english.to_owned()), (zh, chinese.to_owned())])
    }

    /// What is wrong.
    fn problems(english: &str, chinese: &str) -> String {
        compiled(english, chinese).expect_err("it compiled").join("\n")
    }

    #[test]
    fn a_message_is_a_method_with_its_values() {
        let code = compiled(
            "go = Go\n    .tip = Goes\nby = by { $who }\n",
            "go = 走\n    .tip = 去\nby = 由 { $who }\n",
        )
        .expect("compiles");
        assert!(code.contains("pub fn go(self) -> &'static str"), "{code}");
        assert!(code.contains("pub fn go_tip(self) -> &'static str"), "{code}");
        assert!(
            code.contains("pub fn by(self, who: impl std::fmt::Display) -> String"),
            "{code}"
        );
        assert!(
            code.contains("Language::Chinese => format!(\"由 {who}\")"),
            "{code}"
        );
    }

    #[test]
    fn words_follow_a_number_where_the_language_has_forms() {
        let english =
            "n = Has { $n ->\n    [0] nothing\n    [one] one thing\n   *[other] { $n } things\n } on\n";
        let code = compiled(english, "n = 有 { $n } 件\n").expect("compiles");
        let said = "match n { 0 => \"Has nothing on\".to_owned(), 1 => \"Has one thing on\".to_owned(), \
                    _ => format!(\"Has {n} things on\") }";
        assert!(code.contains(said), "{code}");
        assert!(code.contains("pub fn n(self, n: usize)"), "{code}");
    }

    #[test]
    fn a_missing_message_is_a_mistake_in_both_directions() {
        assert!(problems("a = A\nb = B\n", "a = 甲\n").contains("zh-Hans.ftl: b is missing"));
        assert!(problems("a = A\n", "a = 甲\nb = 乙\n").contains("zh-Hans.ftl: b is not in en.ftl"));
        assert!(problems("a = A\n    .tip = T\n", "a = 甲\n").contains("a_tip is missing"));
    }

    #[test]
    fn values_must_be_the_same() {
        assert!(
            problems("a = { $x } of { $y }\n", "a = { $x }\n")
                .contains("has [\"x\"] where en.ftl has [\"x\", \"y\"]")
        );
        assert!(problems("a = { $x }\n", "a = { $z }\n").contains("[\"z\"]"));
    }

    #[test]
    fn what_is_not_understood_is_said_with_its_place() {
        assert!(problems("a = A\n= B\n", "a = 甲\n").contains("en.ftl:2: "));
        assert!(problems("a = A\na = B\n", "a = 甲\n").contains("a stands there twice"));
        assert!(problems("a = { -b }\n-b = B\n", "a = 甲\n").contains("only texts"));
        let one = "a = { $n ->\n    [one] 一\n   *[other] 多\n }\n";
        assert!(problems("a = { $n }\n", one).contains("no case [one]"));
    }
}
