//! A token a role: random, compared in constant time, revocable.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use firedrill_scene::Role;
use subtle::ConstantTimeEq as _;

/// Bytes of chance in a token.
const BYTES: usize = 32;
/// Its letters.
const LETTERS: usize = 43;

/// What a role is known by. A secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// A new one.
    pub(crate) fn random() -> std::io::Result<Self> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// From a link.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (text.len() == LETTERS && text.chars().all(letter)).then(|| Self(text.to_owned()))
    }

    /// Itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The tokens that are worth something.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Vec<(Role, Option<Token>)>);

impl Tokens {
    /// One for each role.
    pub(crate) fn new() -> std::io::Result<Self> {
        let all = Role::ALL
            .into_iter()
            .map(|role| Ok((role, Some(Token::random()?))));
        all.collect::<std::io::Result<_>>().map(Self)
    }

    /// Whose it is. Every token is compared, whichever fits.
    pub(crate) fn role_of(&self, shown: &str) -> Option<Role> {
        self.0.iter().fold(None, |found, (role, token)| {
            let fits = token.as_ref().is_some_and(|token| token.is(shown));
            if fits { Some(*role) } else { found }
        })
    }

    pub(crate) fn of(&self, role: Role) -> Option<&Token> {
        self.0.iter().find(|(it, _)| *it == role)?.1.as_ref()
    }

    /// From now on it is another one, or none.
    pub(crate) fn put(&mut self, role: Role, token: Option<Token>) {
        if let Some((_, slot)) = self.0.iter_mut().find(|(it, _)| *it == role) {
            *slot = token;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_roles_alone_until_it_is_revoked() {
        let mut tokens = Tokens::new().unwrap();
        for role in Role::ALL {
            let token = tokens.of(role).unwrap().clone();
            assert_eq!(Token::parse(token.reveal()), Some(token.clone()));
            assert_eq!(tokens.role_of(token.reveal()), Some(role));
            assert_eq!(tokens.role_of(&token.reveal()[1..]), None);
            tokens.put(role, None);
            assert_eq!(tokens.role_of(token.reveal()), None);
            assert_eq!(tokens.role_of(""), None);
        }
        assert!(!format!("{:?}", Token::random().unwrap()).contains(|c: char| c.is_ascii_digit()));
    }
}
