//! As much of DNS as a responder needs: the question of a message, and answers made from it.
//!
//! RFC 1035: a header of 12 bytes, then the question: a name in labels, its type, its class.

use std::net::IpAddr;

const HEADER_BYTES: usize = 12;

/// Longest name, in bytes as in a message.
const MAX_NAME_BYTES: usize = 255;

/// Most names that one fault may name.
const MAX_NAMES: usize = 64;

/// Types of records.
const A: u16 = 1;
const AAAA: u16 = 28;
/// What browsers ask for besides; it could lead past a wrong address.
const HTTPS: u16 = 65;
const SVCB: u16 = 64;

const INTERNET: u16 = 1;

/// An answer is for now only: after the fault nobody shall remember it.
const TTL_S: u32 = 0;

/// How an answer ends a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It is answered.
    NoError = 0,
    /// The server failed.
    ServFail = 2,
    /// There is no such name.
    NxDomain = 3,
}

/// A message's only question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In lower case, without the dot at the end.
    pub name: String,
    kind: u16,
    class: u16,
    /// Where it ends in the message.
    end: usize,
}

impl Question {
    /// Reads it; `None` for an answer, for anything but a plain query with one question, and for what is cut.
    pub fn of(message: &[u8]) -> Option<Self> {
        let header = message.get(..HEADER_BYTES)?;
        let is_query = header[2] & 0xf8 == 0;
        let questions = u16::from_be_bytes([header[4], header[5]]);
        if !is_query || questions != 1 {
            return None;
        }
        let mut name = String::new();
        let mut at = HEADER_BYTES;
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            // Longer ones are pointers to elsewhere, which no question needs.
            if length > 63 || at + length - HEADER_BYTES > MAX_NAME_BYTES {
                return None;
            }
            if !name.is_empty() {
                name.push('.');
            }
            let label = message.get(at..at + length)?;
            name.extend(label.iter().map(|byte| char::from(*byte).to_ascii_lowercase()));
            at += length;
        }
        let tail = message.get(at..at + 4)?;
        Some(Self {
            name,
            kind: u16::from_be_bytes([tail[0], tail[1]]),
            class: u16::from_be_bytes([tail[2], tail[3]]),
            end: at + 4,
        })
    }

    /// Whether it asks where something is: for an address, or for what may hold one.
    pub fn asks_where(&self) -> bool {
        self.class == INTERNET && [A, AAAA, HTTPS, SVCB].contains(&self.kind)
    }

    /// An answer to the message that it was read from, with those of the addresses that it asks for.
    pub fn answer(&self, message: &[u8], code: Code, addresses: &[IpAddr]) -> Vec<u8> {
        let wanted = addresses.iter().filter(|it| match it {
            IpAddr::V4(_) => self.kind == A,
            IpAddr::V6(_) => self.kind == AAAA,
        });
        let mut answer = message[..self.end].to_vec();
        // It is an answer, recursion was wanted or not as asked, and is available.
        answer[2] = 0x80 | (message[2] & 0x01);
        answer[3] = 0x80 | code as u8;
        answer[6..HEADER_BYTES].fill(0);
        let mut count = 0_u16;
        for address in wanted {
            count += 1;
            // The name is the question's.
            answer.extend_from_slice(&[0xc0, HEADER_BYTES as u8]);
            answer.extend_from_slice(&self.kind.to_be_bytes());
            answer.extend_from_slice(&INTERNET.to_be_bytes());
            answer.extend_from_slice(&TTL_S.to_be_bytes());
            let bytes = match address {
                IpAddr::V4(it) => it.octets().to_vec(),
                IpAddr::V6(it) => it.octets().to_vec(),
            };
            answer.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
            answer.extend_from_slice(&bytes);
        }
        answer[6..8].copy_from_slice(&count.to_be_bytes());
        answer
    }
}

/// The names that a fault is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// Names between commas; `*.internal` is all below it, `*` is every name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let names: Vec<_> = text
            .split(',')
            .map(|part| part.trim().trim_end_matches('.').to_ascii_lowercase())
            .collect();
        let is_name = |name: &String| {
            let plain = name.strip_prefix("*.").unwrap_or(name);
            let labels = plain
                .split('.')
                .all(|label| !label.is_empty() && label.len() <= 63 && !label.contains(['*', ' ']));
            name == "*" || (labels && plain.len() < MAX_NAME_BYTES)
        };
        match names.iter().find(|name| !is_name(name)) {
            Some(wrong) => Err(format!(
                "\"{wrong}\" is no name such as db.example.com, *.internal, or * for every name"
            )),
            None if names.len() > MAX_NAMES => Err(format!("{} names: at most {MAX_NAMES}", names.len())),
            None => Ok(Self(names)),
        }
    }

    /// Whether this one is meant.
    pub fn holds(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some(end) => name.ends_with(end) && name.len() > end.len(),
            None => name == pattern,
        })
    }

    /// For people.
    pub fn words(&self) -> String {
        self.0.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&INTERNET.to_be_bytes());
        // What extends it (EDNS): it is not repeated in an answer.
        message.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        message
    }

    #[test]
    fn questions_are_read_and_answered() {
        let message = query("Db.Example.com", A);
        let question = Question::of(&message).unwrap();
        assert_eq!(question.name, "db.example.com");
        assert!(question.asks_where());
        let addresses = ["10.0.0.9".parse().unwrap(), "::1".parse().unwrap()];
        let answer = question.answer(&message, Code::NoError, &addresses);
        let mut expected = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        expected.extend_from_slice(&message[12..question.end]);
        expected.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 0, 0, 9]);
        assert_eq!(answer, expected);
        // What is not an address has none in it.
        let message = query("db.example.com", HTTPS);
        let answer = Question::of(&message)
            .unwrap()
            .answer(&message, Code::NoError, &addresses);
        assert_eq!(&answer[3..8], [0x80, 0, 1, 0, 0]);
        let answer = Question::of(&message)
            .unwrap()
            .answer(&message, Code::NxDomain, &[]);
        assert_eq!(answer[3], 0x83);
    }

    #[test]
    fn what_is_no_question_is_left_alone() {
        let message = query("db.example.com", A);
        let end = Question::of(&message).unwrap().end;
        for cut in 0..end {
            assert_eq!(Question::of(&message[..cut]), None, "{cut}");
        }
        let change = |at: usize, to: u8| {
            let mut changed = message.clone();
            changed[at] = to;
            Question::of(&changed)
        };
        assert_eq!(change(2, 0x81), None, "an answer");
        assert_eq!(change(2, 0x28), None, "an update");
        assert_eq!(change(5, 2), None, "two questions");
        assert_eq!(change(12, 0xc0), None, "a pointer");
        let long = ["a".repeat(63).as_str(); 5].join(".");
        assert_eq!(Question::of(&query(&long, A)), None, "too long");
    }

    #[test]
    fn names_are_meant_as_written() {
        let names = Names::parse("db.example.com, *.Internal.").unwrap();
        for (name, is_meant) in [
            ("db.example.com", true),
            ("x.db.example.com", false),
            ("a.b.internal", true),
            ("internal", false),
            ("notinternal", false),
        ] {
            assert_eq!(names.holds(name), is_meant, "{name}");
        }
        assert!(Names::parse("*").unwrap().holds("anything.at.all"));
        for wrong in ["", "a..b", "*x.com", "a.*.b", "a b", ","] {
            assert!(Names::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_message_panics(mut message in proptest::collection::vec(proptest::num::u8::ANY, 0..80), name in ".{0,30}") {
            if let Some(flags) = message.get_mut(2) {
                *flags = 0;
            }
            if let Some(question) = Question::of(&message) {
                let answer = question.answer(&message, Code::NoError, &["1.2.3.4".parse().unwrap()]);
                proptest::prop_assert!(answer.len() >= question.end);
            }
            drop(Names::parse(&name));
        }
    }
}
