//! Who may do what: the tokens of the state folder, and the policy of the host.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::policy::Policy;
use crate::state::{StateFolder, keep, random_hex, read_secret};

/// Folder of the named operators' tokens, inside the state folder.
const OPERATORS: &str = "operators";

/// The file of the token for everything.
const TOKEN: &str = "token";

/// The file of the token for reading alone.
const OBSERVER: &str = "observer-token";

/// The file of the token for aborts alone.
const ABORT: &str = "abort-token";

/// So many named operators.
const MAX_OPERATORS: usize = 256;

/// What a caller may do at most; the policy says less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Operator,
    /// Read: `GET` calls and events.
    Observer,
    /// Abort, and see who it is.
    Abort,
}

/// Somebody who got in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Of whom the token is, for the audit log and the policy: `operator` for the one that has no other name.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

impl Caller {
    fn new(name: &str, role: Role) -> Self {
        Self {
            name: name.to_owned(),
            role,
        }
    }

    /// Whoever can open the socket's file: the agent's own user.
    pub fn of_socket() -> Self {
        Self::new("the host's socket", Role::Operator)
    }
}

/// A secret, kept as its hash, so that a comparison takes the same time whatever is shown.
struct Token(blake3::Hash);

impl Token {
    fn new(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()))
    }
}

/// Tokens and policy as they were read last.
pub struct Access {
    tokens: Vec<(Token, Caller)>,
    /// What the host allows.
    pub policy: Policy,
}

impl Access {
    /// Reads the tokens; those that are missing are made.
    pub fn load(state: &StateFolder, policy: Policy) -> anyhow::Result<Self> {
        let mut tokens = Vec::new();
        for (file, name, role) in [
            (TOKEN, "operator", Role::Operator),
            (OBSERVER, "observer", Role::Observer),
            (ABORT, "abort token", Role::Abort),
        ] {
            let (secret, new) = state.secret(file)?;
            if new && role == Role::Operator {
                tracing::info!("the token is in {}", state.path().join(file).display());
            }
            tokens.push((Token::new(&secret), Caller::new(name, role)));
        }
        for (name, secret) in operators(state.path())? {
            tokens.push((Token::new(&secret), Caller::new(&name, Role::Operator)));
        }
        Ok(Self { tokens, policy })
    }

    /// Whose token it is. Every token is compared, in constant time, whatever the ones before said.
    pub fn caller(&self, shown: &str) -> Option<Caller> {
        let shown = Token::new(shown);
        let mut found = 0_u32;
        for (at, (token, _)) in (1..).zip(&self.tokens) {
            let same: Choice = token.0.as_bytes().ct_eq(shown.0.as_bytes());
            found.conditional_assign(&at, same);
        }
        let (_, caller) = self.tokens.get(usize::try_from(found).ok()?.checked_sub(1)?)?;
        Some(caller.clone())
    }
}

/// The named operators with their tokens, in the order of their names.
fn operators(state: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let folder = state.join(OPERATORS);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    let mut found = Vec::new();
    for entry in entries.take(MAX_OPERATORS) {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !is_name(&name) {
            continue;
        }
        let path = folder.join(&name);
        if let Some(secret) = read_secret(&path)? {
            if secret.trim().len() < 32 {
                bail!(
                    "{} holds no token of 32 characters or more; remove it, and run firedrill-agent enroll --operator {name}",
                    path.display()
                );
            }
            found.push((name, secret.trim().to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

/// Whose token to give out.
#[derive(Clone, Debug)]
pub enum Whose {
    /// The operator without a name.
    Operator,
    /// An operator by name; a token is made at the first time.
    Named(String),
    /// The observer.
    Observer,
}

/// Tokens to give out, read from the state folder of an agent that has been started once: the one asked for, the
/// one for aborts, and whether the first is new, so that the agent must read it.
pub fn give_out(state: &Path, whose: &Whose) -> anyhow::Result<(String, String, bool)> {
    let path = match whose {
        Whose::Operator => state.join(TOKEN),
        Whose::Observer => state.join(OBSERVER),
        Whose::Named(name) => operator_file(state, name)?,
    };
    let known = |path: &Path| read_secret(path).map(|it| it.map(|it| it.trim().to_owned()));
    let abort = known(&state.join(ABORT))?.with_context(|| {
        format!(
            "{} is not the state folder of an agent that was ever started: start it first, or give its folder with --state",
            state.display()
        )
    })?;
    if let Some(token) = known(&path)? {
        return Ok((token, abort, false));
    }
    let (folder, name) = (
        path.parent().unwrap_or(state),
        path.file_name().unwrap_or_default(),
    );
    crate::state::make_private(folder)?;
    let token = random_hex::<32>()?;
    keep(folder, &name.to_string_lossy(), token.as_bytes())?;
    Ok((token, abort, true))
}

fn operator_file(state: &Path, name: &str) -> anyhow::Result<PathBuf> {
    if !is_name(name) || name == "operator" {
        bail!("an operator's name has 1 to 64 of the characters a-z A-Z 0-9 _ -, and is not \"operator\"");
    }
    Ok(state.join(OPERATORS).join(name))
}

/// No dot: files that are being written have one.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn every_token_is_told_apart() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateFolder::open(&temp.path().join("state")).unwrap();
        let none = Access::load(&state, Policy::default()).unwrap();
        let ada = Whose::Named("ada".to_owned());
        let (token, abort, new) = give_out(state.path(), &ada).unwrap();
        assert!(new && none.caller(&token).is_none());
        assert_eq!(
            give_out(state.path(), &ada).unwrap(),
            (token.clone(), abort.clone(), false)
        );
        let access = Access::load(&state, Policy::default()).unwrap();
        let role = |token: &str| access.caller(token).map(|it| (it.name, it.role));
        assert_eq!(role(&token), Some(("ada".to_owned(), Role::Operator)));
        assert_eq!(role(&abort).unwrap().1, Role::Abort);
        let observer = give_out(state.path(), &Whose::Observer).unwrap().0;
        assert_eq!(role(&observer).unwrap().1, Role::Observer);
        let operator = give_out(state.path(), &Whose::Operator).unwrap().0;
        assert_eq!(role(&operator), Some(("operator".to_owned(), Role::Operator)));
        for wrong in ["", "x", &token[1..], &format!("{token} ")] {
            assert_eq!(role(wrong), None, "{wrong}");
        }
        for wrong in ["", "a/b", "..", "operator", "a.b"] {
            assert!(
                give_out(state.path(), &Whose::Named(wrong.to_owned())).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_token_that_others_may_read_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateFolder::open(&temp.path().join("state")).unwrap();
        Access::load(&state, Policy::default()).unwrap();
        give_out(state.path(), &Whose::Named("ada".to_owned())).unwrap();
        for file in ["token", "observer-token", "abort-token", "operators/ada"] {
            let path = state.path().join(file);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            let refusal = Access::load(&state, Policy::default()).err().unwrap().to_string();
            assert!(
                refusal.contains(file) && refusal.contains("chmod 600"),
                "{refusal}"
            );
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        Access::load(&state, Policy::default()).unwrap();
    }
}
